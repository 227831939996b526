"""Confidences from token probabilities, and refined coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from florence_blocks.answers import Answer
from florence_blocks.evidence import NEAR, Evidence, refined
from florence_blocks.locations import Box
from florence_blocks.parsing import parse
from florence_blocks.scoring import scored
from florence_blocks.tasks import TASKS

SIZE = (1000, 1000)


def peak(**mass: float) -> NDArray[np.float32]:
    """Probabilities around a location, by their offsets: `peak(p0=0.5, m3=0.2)`."""
    near = np.zeros(2 * NEAR + 1, np.float32)
    for name, value in mass.items():
        near[NEAR + (int(name[1:]) if name[0] == "p" else -int(name[1:]))] = value
    return near


def answered(task: str, *tokens: tuple[str, Evidence], truncated: bool = False, region: Box | None = None) -> Answer:
    evidence = [item for _, item in tokens]
    answer = parse(TASKS[task], [text for text, _ in tokens], SIZE, truncated=truncated)
    return scored(answer, evidence, SIZE, region=region)


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


SQUARE = (100, 100, 300, 100, 300, 300, 100, 300)


def outlined(*tokens: tuple[str, Evidence], task: str = "region_segmentation", region: Box | None = None) -> float:
    """The confidence of the one outlined thing of an answer."""
    (found,) = answered(task, *tokens, region=region).instances
    assert found.confidence is not None and found.confidence == pytest.approx(found.location_confidence)
    return found.confidence


def test_an_outline_without_any_doubt_is_as_sure_as_its_end() -> None:
    certain = places(SQUARE, peak(p0=1.0))
    assert outlined(*certain, ("</s>", Evidence(1.0, end=True))) == pytest.approx(1.0)
    assert outlined(*certain, END) == pytest.approx(0.9)


def test_an_outline_that_was_cut_is_as_unsure_as_its_end() -> None:
    cut = answered("phrase_segmentation", *places(SQUARE, peak(p0=1.0)), ("</s>", Evidence(0.001, end=True)), truncated=True)
    assert cut.truncated and cut.instances[0].confidence == pytest.approx(0.001)
    assert outlined(*places(SQUARE, peak(p0=1.0))) == 0.0  # it broke off, and nothing says that it ends there


def test_padding_behind_an_outline_is_not_its_end() -> None:
    assert outlined(*places(SQUARE, peak(p0=1.0)), ("<pad>", Evidence(0.2, silent=True)), END) == pytest.approx(0.9)


def test_the_asked_region_and_the_outline_have_to_agree() -> None:
    certain = [*places(SQUARE, peak(p0=1.0)), END]
    assert outlined(*certain, region=(100.5, 100.5, 300.5, 300.5)) == pytest.approx(0.9)
    assert outlined(*certain, region=(300.5, 300.5, 100.5, 100.5)) == pytest.approx(0.9)  # corners in any order
    assert outlined(*certain, region=(100.5, 100.5, 300.5, 200.5)) == pytest.approx(0.45)
    assert outlined(*certain, region=(500.0, 500.0, 700.0, 700.0)) == 0.0


def test_every_outline_of_a_thing_has_an_end_of_its_own_and_counts_by_its_area() -> None:
    sure, small = places(SQUARE, peak(p0=1.0)), places((500, 500, 600, 500, 600, 600, 500, 600), peak(p0=1.0))
    separator = ("<sep>", Evidence(0.5))
    assert outlined(*sure, separator, *small, ("</s>", Evidence(1.0, end=True))) == pytest.approx(0.8 * 0.5 + 0.2 * 1.0)


def test_outlines_of_named_things_end_with_their_mark() -> None:
    def poly(bins: Sequence[int], closing: float) -> list[tuple[str, Evidence]]:
        return [word("<poly>", 1.0), *places(bins, peak(p0=1.0)), word("</poly>", closing)]

    answer = answered("open_vocabulary_detection", word("cup", 0.8), *poly(SQUARE, 0.5), *poly((1, 1, 9, 1, 9, 9), 1.0), END)
    assert [found.confidence for found in answer.instances] == pytest.approx([0.4, 0.8])
    assert [found.location_confidence for found in answer.instances] == pytest.approx([0.5, 1.0])


def test_a_text_has_the_mean_of_its_tokens_times_its_end() -> None:
    begin = ("<s>", Evidence(1e-9, silent=True))
    answer = answered("caption", begin, word("A", 0.5), word(" dog", 0.5), ("</s>", Evidence(0.8, end=True)))
    assert answer.confidence == pytest.approx(0.5 * 0.8)
    assert answer.token_probabilities == (1e-9, 0.5, 0.5, 0.8)


def test_a_text_that_was_cut_is_as_unsure_as_its_end_whatever_its_length() -> None:
    words = [word(" very", 0.99)] * 50
    cut = answered("more_detailed_caption", *words, ("</s>", Evidence(1e-4, end=True)), truncated=True)
    assert cut.confidence == pytest.approx(0.99e-4)
    assert answered("more_detailed_caption", *words, truncated=True).confidence == 0.0  # there is no end at all


def test_a_text_in_front_of_its_box_ends_with_the_box() -> None:
    box = places((1, 1, 9, 9), peak(p0=0.6, p1=0.3))
    whole = answered("region_classification", word("cup", 0.5), *box, END)
    assert whole.confidence == pytest.approx(0.5 * 0.9)
    cut = answered("region_classification", word("cup", 0.5), *box[:2], ("</s>", Evidence(1e-4, end=True)), truncated=True)
    assert cut.confidence == pytest.approx(whole.confidence)  # what was cut is the box, not the text


def test_things_in_front_of_a_cut_keep_their_confidences() -> None:
    first = [word("cup", 0.9), *places((0, 0, 100, 100), peak(p0=1.0))]
    begun = [word("plate", 0.9), *places((5, 5, 9), peak(p0=1.0))]
    cut = answered("object_detection", *first, *begun, ("</s>", Evidence(1e-4, end=True)), truncated=True)
    (whole,) = answered("object_detection", *first, END).instances
    assert cut.truncated and [found.confidence for found in cut.instances] == [whole.confidence]


def test_no_text_is_as_sure_as_its_end() -> None:
    assert answered("ocr", ("<s>", Evidence(1.0, silent=True)), END).confidence == pytest.approx(0.9)


def test_a_refined_coordinate_is_the_mean_around_the_chosen_bin() -> None:
    evidence = [Evidence(0.5), Evidence(0.5, peak(p0=0.5, p2=0.25, m1=0.25)), Evidence(0.5, peak(p0=0.6, p50=0.4))]
    offsets = refined(evidence)
    assert offsets == pytest.approx([0.0, 0.25, 0.0])
    answer = parse(TASKS["region_proposal"], ["<loc_10>", "<loc_20>", "<loc_30>", "<loc_40>"], SIZE, offsets=[0.25, 0, 0, -0.5])
    assert answer.instances[0].box == pytest.approx((10.75, 20.5, 30.5, 40.0))
