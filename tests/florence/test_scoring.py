"""Confidences from token probabilities, and refined coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from florence_blocks.answers import Answer
from florence_blocks.parsing import parse
from florence_blocks.scoring import NEAR, Evidence, refined, scored
from florence_blocks.tasks import TASKS

SIZE = (1000, 1000)


def peak(**mass: float) -> NDArray[np.float32]:
    """Probabilities around a location, by their offsets: `peak(p0=0.5, m3=0.2)`."""
    near = np.zeros(2 * NEAR + 1, np.float32)
    for name, value in mass.items():
        near[NEAR + (int(name[1:]) if name[0] == "p" else -int(name[1:]))] = value
    return near


def answered(task: str, *tokens: tuple[str, Evidence], truncated: bool = False) -> Answer:
    evidence = [item for _, item in tokens]
    return scored(parse(TASKS[task], [text for text, _ in tokens], SIZE, truncated=truncated), evidence, SIZE)


def word(text: str, probability: float) -> tuple[str, Evidence]:
    return text, Evidence(probability)


def places(bins: Sequence[int], near: NDArray[np.float32]) -> list[tuple[str, Evidence]]:
    return [(f"<loc_{bin_}>", Evidence(float(near[NEAR]), near)) for bin_ in bins]


END = ("</s>", Evidence(0.9, end=True))


def test_a_box_is_as_sure_as_its_name_and_the_mass_around_its_coordinates() -> None:
    near = peak(p0=0.3, p5=0.3, m6=0.2, p60=0.2)  # a side of 100 bins: the last is too far off
    answer = answered("object_detection", word("traffic", 0.5), word(" light", 0.8), *places((100, 100, 200, 200), near), END)
    (found,) = answer.instances
    assert found.label_confidence == pytest.approx(0.4)
    assert found.location_confidence == pytest.approx(0.8)
    assert found.confidence == pytest.approx(0.32)


def test_a_larger_thing_may_be_farther_off() -> None:
    near = peak(p0=0.5, p40=0.5)
    small, large = (answered("region_proposal", *places(box, near), END).instances[0]
                    for box in ((100, 100, 200, 200), (100, 100, 900, 900)))  # fmt: skip
    assert small.confidence == pytest.approx(0.5) and large.confidence == pytest.approx(1.0)


def test_boxes_of_one_label_have_confidences_of_their_own() -> None:
    answer = answered("object_detection", word("cup", 0.9), *places((0, 0, 100, 100), peak(p0=1.0)),
                      *places((500, 500, 600, 600), peak(p0=0.5)), END)  # fmt: skip
    assert [found.confidence for found in answer.instances] == pytest.approx([0.9, 0.45])


def test_an_outline_takes_the_side_of_its_axis() -> None:
    near = peak(p0=0.5, p40=0.5)  # within a tenth of the width, not of the height
    answer = answered("region_segmentation", *places((0, 0, 900, 0, 900, 100, 0, 100), near), END)
    assert answer.instances[0].location_confidence == pytest.approx(math.sqrt(0.5))


def test_a_text_has_the_mean_of_its_tokens_and_its_end() -> None:
    begin = ("<s>", Evidence(1e-9, silent=True))
    answer = answered("caption", begin, word("A", 0.5), word(" dog", 0.5), ("</s>", Evidence(1.0, end=True)))
    assert answer.confidence == pytest.approx(0.25 ** (1 / 3))
    assert answer.token_probabilities == (1e-9, 0.5, 0.5, 1.0)


def test_the_forced_end_of_a_truncated_text_does_not_count() -> None:
    answer = answered("caption", word("A", 0.5), ("</s>", Evidence(1e-6, end=True)), truncated=True)
    assert answer.confidence == pytest.approx(0.5)


def test_no_text_is_as_sure_as_its_end() -> None:
    assert answered("ocr", ("<s>", Evidence(1.0, silent=True)), END).confidence == pytest.approx(0.9)


def test_a_refined_coordinate_is_the_mean_around_the_chosen_bin() -> None:
    evidence = [Evidence(0.5), Evidence(0.5, peak(p0=0.5, p2=0.25, m1=0.25)), Evidence(0.5, peak(p0=0.6, p50=0.4))]
    offsets = refined(evidence)
    assert offsets == pytest.approx([0.0, 0.25, 0.0])
    answer = parse(TASKS["region_proposal"], ["<loc_10>", "<loc_20>", "<loc_30>", "<loc_40>"], SIZE, offsets=[0.25, 0, 0, -0.5])
    assert answer.instances[0].box == pytest.approx((10.75, 20.5, 30.5, 40.0))
