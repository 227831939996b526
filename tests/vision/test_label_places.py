"""Labels that do not lie on each other."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from florence_blocks.vision.label_places import spread
from florence_blocks.vision.plain_labels import PlainLabels

SIZE = (400, 300)
LABELS = st.lists(
    st.tuples(st.integers(-20, 420), st.integers(-20, 320), st.integers(1, 120), st.integers(1, 40)), min_size=1, max_size=60
)


def overlap(one: list[float], other: list[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_labels_keep_their_sizes_within_the_image(labels: list[tuple[int, int, int, int]]) -> None:
    boxes = np.array([(x, y, x + width, y + height) for x, y, width, height in labels], np.float32)
    placed = spread(boxes, SIZE)
    assert (placed[:, 2:] - placed[:, :2] == boxes[:, 2:] - boxes[:, :2]).all()
    if (boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum() > 400 * 300 / 2:
        assert (placed == boxes).all(), "nowhere to go"
        return
    assert (placed[:, :2] >= 0).all()
    assert (placed[:, 2:] <= SIZE).all()


def test_labels_with_room_stay_where_they_are() -> None:
    boxes = np.array([[10, 10, 60, 25], [100, 10, 160, 25], [10, 100, 60, 115]], np.float32)
    assert (spread(boxes, SIZE) == boxes).all()


def test_labels_upon_each_other_move_to_free_places_nearby() -> None:
    boxes = np.array([[100, 100, 160, 115]] * 6, np.float32)
    placed = spread(boxes, SIZE).tolist()
    assert placed[0] == [100, 100, 160, 115]
    assert not any(overlap(one, other) for place, one in enumerate(placed) for other in placed[:place])
    assert all(abs(top - 100) <= 3 * 16 for _, top, _, _ in placed)


def test_a_label_larger_than_the_image_begins_at_its_edge() -> None:
    assert spread(np.array([[300, 10, 900, 30]], np.float32), SIZE).tolist() == [[0, 10, 600, 30]]


@pytest.mark.parametrize("position", [position.name for position in sv.Position if position.name != "CENTER_OF_MASS"])
@pytest.mark.parametrize(("scale", "radius", "text"), [(0.5, 0, "star 0.93"), (1.0, 6, "two\nlines\n\nand four"), (0.4, 2, "")])
def test_labels_are_drawn_as_supervision_draws_them(position: str, scale: float, radius: int, text: str) -> None:
    found = sv.Detections(
        xyxy=np.array([[450, 300, 531, 360], [800, 500, 870, 541], [460, 700, 470, 715]], float), class_id=np.array([0, 4, 27])
    )
    colors, looks = sv.ColorPalette.DEFAULT, {"text_scale": scale, "text_thickness": 1, "text_padding": 4}
    scene = np.full((1000, 1300, 3), 90, np.uint8)
    theirs = sv.LabelAnnotator(
        color=colors, text_color=sv.Color.WHITE, text_position=sv.Position[position], border_radius=radius, **looks
    ).annotate(scene.copy(), found, [text] * 3)
    ours = PlainLabels(colors, sv.ColorLookup.CLASS, sv.Color.WHITE, position, border_radius=radius, **looks)
    assert (ours.annotate(scene.copy(), found, [text] * 3) == theirs).all()
