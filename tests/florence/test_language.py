"""The task table, locations and prompts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from florence_blocks.locations import bin_of, box_tokens, to_bin, to_pixel
from florence_blocks.prompts import PromptError, build_prompt
from florence_blocks.tasks import TASKS, TASKS_BY_TOKEN, Needs

BOX = (10.0, 20.0, 50.0, 60.0)


def test_the_table_has_the_fifteen_published_tasks_and_the_free_prompt() -> None:
    assert len(TASKS) == 16 and len(TASKS_BY_TOKEN) == 15
    assert [name for name, task in TASKS.items() if not task.token] == ["prompt"]


def test_prompts_are_those_of_the_installed_processor() -> None:
    from transformers import Florence2Processor

    from florence_blocks.demo import CHECKPOINT

    reference = Florence2Processor.from_pretrained(CHECKPOINT)
    for token, task in TASKS_BY_TOKEN.items():
        if task.needs is Needs.NOTHING:
            assert build_prompt(task) == reference.task_prompts_without_inputs[token]
        else:
            wanted = reference.task_prompts_with_input[token].format(input="a cat")
            hole = "{" + task.needs.value + "}"
            assert task.prompt.replace(hole, "a cat") == wanted


def test_every_bin_comes_back_from_its_centre() -> None:
    for size in (1, 7, 640, 768, 4000):
        assert [to_bin(to_pixel(k, size), size) for k in range(1000)] == list(range(1000))


@given(st.floats(-1e6, 1e6), st.integers(1, 10_000))
def test_bins_are_floored_and_clamped(value: float, size: int) -> None:
    bin_ = to_bin(value, size)
    assert 0 <= bin_ <= 999
    if 0 <= value < size:
        assert abs(to_pixel(bin_, size) - value) <= size / 1000


def test_the_right_edge_is_bin_999_and_there_is_no_bin_1000() -> None:
    assert to_bin(640, 640) == 999
    assert bin_of("<loc_999>") == 999 and bin_of("<loc_1000>") is None and bin_of("loc_1") is None


@pytest.mark.parametrize("box", [(1, 2, 3), (math.nan, 0, 1, 1), (0, 0, math.inf, 1)])
def test_what_is_no_box_is_told(box: tuple[float, ...]) -> None:
    with pytest.raises(PromptError, match="region_caption"):
        build_prompt(TASKS["region_caption"], region=box, size=(100, 100))


def test_a_box_with_swapped_corners_is_put_in_order() -> None:
    assert box_tokens((50, 60, 10, 20), (100, 100)) == "<loc_100><loc_200><loc_500><loc_600>"


def test_prompts_hold_what_they_were_given() -> None:
    assert build_prompt(TASKS["phrase_grounding"], phrase=" a cat ") == "Locate the phrases in the caption: a cat"
    classes = build_prompt(TASKS["open_vocabulary_detection"], classes=["a cat", "dog", "dog"])
    assert classes == "Locate a cat<and>dog in the image."
    region = build_prompt(TASKS["region_ocr"], region=BOX, size=(100, 100))
    assert region == "What text is in the region <loc_100><loc_200><loc_500><loc_600>?"
    assert build_prompt(TASKS["prompt"], text="<DocVQA>What is this?") == "<DocVQA>What is this?"


@pytest.mark.parametrize(
    ("task", "inputs", "said"),
    [
        ("phrase_grounding", {}, "`phrase_grounding` needs `phrase`"),
        ("phrase_grounding", {"phrase": "  "}, "it is empty"),
        ("phrase_grounding", {"phrase": "a<loc_1>"}, "`<loc_1>` inside `phrase`"),
        ("phrase_segmentation", {"phrase": "a</s>"}, "`</s>`"),
        ("caption", {"phrase": "a cat"}, "no place for `phrase`"),
        ("open_vocabulary_detection", {"classes": []}, "at least one class"),
        ("open_vocabulary_detection", {"classes": "cat"}, "a list of classes"),
        ("region_caption", {"region": BOX}, "needs the size"),
        ("prompt", {}, "needs `text`"),
    ],
)
def test_a_prompt_that_lacks_something_is_told(task: str, inputs: dict[str, object], said: str) -> None:
    with pytest.raises(PromptError, match=said):
        build_prompt(TASKS[task], **inputs)  # type: ignore[arg-type]
