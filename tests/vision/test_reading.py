"""Texts with places as one text: lines, paragraphs, columns and directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv

from tests.vision.test_blocks import run, step


def page(*words: tuple[str, float, float], height: float = 10) -> sv.Detections:
    """Words at left upper corners, ten pixels a letter wide; in an order that tells nothing."""
    shuffled = [words[place] for place in np.random.default_rng(1).permutation(len(words))]
    boxes = [[x, y, x + 10 * len(text), y + height] for text, x, y in shuffled]
    data = {"text": np.array([text for text, _, _ in shuffled], object)}
    return sv.Detections(xyxy=np.array(boxes, float).reshape(-1, 4), data=data)


def read(found: sv.Detections, **fields: Any) -> Any:
    return run([step("stitch_ocr_detections", predictions="$inputs.d", **fields)], "$steps.s.ocr_text", d=found)


def test_words_make_lines_although_they_are_not_quite_level() -> None:
    assert read(page(("to", 40, 3), ("how", 0, 0), ("read", 70, -2), ("this", 5, 16))) == "how to read\nthis"


def test_a_wide_gap_makes_a_paragraph() -> None:
    assert read(page(("one", 0, 0), ("two", 0, 12), ("three", 0, 40))) == "one\ntwo\n\nthree"


COLUMNS = page(("TITLE", 30, 0), ("aaaa", 0, 14), ("bbbb", 0, 28), ("cccc", 90, 14), ("dddd", 90, 28))


def test_columns_are_read_one_by_one_under_their_heading() -> None:
    assert read(COLUMNS) == "TITLE\n\naaaa\nbbbb\n\ncccc\ndddd"


def test_a_table_is_read_line_by_line() -> None:
    assert read(COLUMNS, columns=False) == "TITLE\naaaa cccc\nbbbb dddd"


def test_the_resolution_does_not_matter() -> None:
    large = sv.Detections(xyxy=COLUMNS.xyxy * 7.5, data=COLUMNS.data)
    assert read(large) == read(COLUMNS)


def test_lines_run_the_other_way_where_people_read_so() -> None:
    found = page(("one", 60, 0), ("two", 0, 0), ("three", 60, 14))
    assert read(found, reading_direction="right_to_left", columns=False) == "one two\nthree"


def test_vertical_lines_are_found() -> None:
    boxes = sv.Detections(xyxy=np.array([[0, 0, 10, 30], [0, 35, 10, 80], [12, 0, 22, 40]], float),
                          data={"text": np.array(["one", "two", "three"], object)})  # fmt: skip
    assert read(boxes, reading_direction="auto") == "one two\nthree"


def test_no_texts_give_an_empty_text() -> None:
    assert read(sv.Detections.empty()) == ""


@pytest.mark.parametrize(("tolerance", "wanted"), [(10, "ab\nc"), (2, "b\na\nc")])
def test_the_algorithm_of_other_runtimes_puts_tops_on_a_grid(tolerance: int, wanted: str) -> None:
    found = page(("a", 0, 3), ("b", 40, 0), ("c", 0, 21))
    other = {"type": "roboflow_core/stitch_ocr_detections@v1", "name": "s", "predictions": "$inputs.d",
             "reading_direction": "left_to_right", "tolerance": tolerance}  # fmt: skip
    assert "\n".join(part for part in run([other], "$steps.s.ocr_text", d=found).split("\n")) == wanted
