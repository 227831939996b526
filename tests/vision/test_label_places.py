"""Labels that do not lie on each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from florence_blocks.vision.label_places import spread

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


def test_the_work_grows_with_the_number_of_labels() -> None:
    """Counted, not timed: how often two labels are held against each other."""

    class Counted(float):
        compared = 0

        def __lt__(self, other: float) -> bool:
            Counted.compared += 1
            return float(self) < float(other)

    from florence_blocks.vision import label_places

    def work(count: int) -> int:
        Counted.compared = 0
        taken = label_places._Taken(50, 15)
        numbers = np.random.default_rng(0)
        for x, y in numbers.integers(0, 300, (count, 2)).tolist():
            box = (Counted(x), float(y), Counted(x + 50), float(y + 15))
            if taken.is_free(box):
                taken.add(box)
        return Counted.compared

    assert work(2000) < 4 * work(1000)
