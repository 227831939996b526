"""What is written beside detections."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.labels import label_texts
from tests.vision.test_blocks import PIXELS, found, run, step

TWO = sv.Detections(
    xyxy=np.array([[10, 10, 30.6, 40], [50, 20, 90, 60]], float),
    confidence=np.array([0.9, 0.456]),
    class_id=np.array([0, 1]),
    tracker_id=np.array([3, 5]),
    data={
        "class_name": np.array(["star", "circle"], object),
        "time_in_zone": np.array([0.0, 2.46]),
        "area_converted": np.array([1.5, 2.0]),
    },
)
BARE = sv.Detections(xyxy=TWO.xyxy)


@pytest.mark.parametrize(
    ("text", "known", "unknown"),
    [
        ("Class", ["star", "circle"], ["", ""]),
        ("Confidence", ["0.90", "0.46"], ["", ""]),
        ("Class and Confidence", ["star 0.90", "circle 0.46"], ["", ""]),
        ("Index", ["0", "1"], ["0", "1"]),
        ("Dimensions", ["20, 25 20x30", "70, 40 40x40"], ["20, 25 20x30", "70, 40 40x40"]),
        ("Area", ["618", "1600"], ["618", "1600"]),
        ("Area (mask)", ["Area (mask): N/A"] * 2, ["Area (mask): N/A"] * 2),
        ("Area (converted)", ["Area (conv): 1.50", "Area (conv): 2.00"], ["Area (conv): N/A"] * 2),
        ("Tracker Id", ["3", "5"], ["No Tracker ID"] * 2),
        ("Time In Zone", ["In zone: 0.0s", "In zone: 2.5s"], ["In zone: N/A"] * 2),
        ("Text", ["star", "circle"], ["", ""]),
    ],
)
def test_a_label_says_what_is_known_and_that_it_is_not(text: str, known: list[str], unknown: list[str]) -> None:
    assert label_texts(TWO, text) == known
    assert label_texts(BARE, text) == unknown


def test_the_area_of_an_outline_is_that_of_its_pixels() -> None:
    masks = np.zeros((2, 60, 90), bool)
    masks[0, 10:15, 10:15] = True
    assert label_texts(sv.Detections(xyxy=TWO.xyxy, mask=masks), "Area") == ["25", "0"]


@pytest.mark.parametrize("kind", ["label_visualization", "rich_label_visualization"])
def test_a_label_without_a_letter_is_no_empty_box(kind: str) -> None:
    bare = found()
    bare.confidence = None
    drawn = run([step(kind, image="$inputs.image", predictions="$inputs.d", text="Confidence")], "$steps.s.image", d=bare)
    assert np.array_equal(drawn.array, PIXELS)
    named = found()
    named.data["class_name"] = np.array(["", "circle"], object)
    drawn = run([step(kind, image="$inputs.image", predictions="$inputs.d")], "$steps.s.image", d=named)
    assert not np.array_equal(drawn.array, PIXELS)


@pytest.mark.parametrize("font", ["DejaVu Sans", "geist_mono", "Noto Sans", "DejaVu_Sans_Mono"])
def test_fonts_that_another_runtime_brings_are_replaced(font: str) -> None:
    label = step("rich_label_visualization", image="$inputs.image", predictions="$inputs.d", font_family=font)
    assert not np.array_equal(run([label], "$steps.s.image").array, PIXELS)
