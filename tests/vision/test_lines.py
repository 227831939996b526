"""Lines that are crossed, and what is written beside them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from florence_blocks.vision.lines import MOST_TRACKS, CountingLine, write_beside


def across(*xs: float | None, line: CountingLine | None = None, y: float = 50) -> CountingLine:
    """A track that is at these places, frame by frame, unseen where there is none; the line runs down at x = 50."""
    line = line or CountingLine((50, 0), (50, 100))
    for x in xs:
        points = np.zeros((1, 0, 2)) if x is None else np.array([[[x, y]]])
        line.cross([] if x is None else [7], points)
    return line


def counts(line: CountingLine) -> tuple[int, int]:
    return line.count_in, line.count_out


@pytest.mark.parametrize("unseen", [0, 1, 2, 3, 50])
def test_a_track_counts_however_long_nobody_saw_it_at_the_line(unseen: int) -> None:
    assert counts(across(30, 40, *[None] * unseen, 60, 70)) == (1, 0)
    assert counts(across(70, 60, *[None] * unseen, 40, 30)) == (0, 1)


def test_who_turns_back_counts_in_both_directions_and_who_stays_does_not() -> None:
    assert counts(across(30, 60, 40)) == (1, 1)
    assert counts(across(30, 49, 30)) == (0, 0)


def test_beyond_the_ends_of_a_line_nobody_crosses_it() -> None:
    assert counts(across(30, 60, y=150)) == (0, 0)
    line = across(30, line=across(y=50))
    across(60, line=line, y=150)
    assert counts(across(60, line=line)) == (1, 0)  # seen on the other side at last


def test_a_box_is_on_a_side_with_all_of_its_corners() -> None:
    line = CountingLine((50, 0), (50, 100))
    for left in (20, 40, 60):
        corners = np.array([[[left, 10]], [[left + 20, 10]], [[left, 30]], [[left + 20, 30]]], float)
        crossed = line.cross([1], corners)
    assert counts(line) == (1, 0) and crossed == ([0], [])


def test_tracks_that_are_none_are_not_counted_and_the_oldest_are_forgotten() -> None:
    line = CountingLine((50, 0), (50, 100))
    for x in (30.0, 60.0):
        line.cross([-1], np.array([[[x, 50.0]]]))
    assert counts(line) == (0, 0)
    line.cross(list(range(MOST_TRACKS + 1)), np.full((1, MOST_TRACKS + 1, 2), 30.0))
    line.cross([0, 1], np.full((1, 2, 2), 60.0))
    assert counts(line) == (1, 0)  # 0 was forgotten


def test_a_line_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="no length"):
        CountingLine((5, 5), (5, 5))


@pytest.mark.parametrize(
    "line", [((0, 50), (199, 50)), ((100, 0), (100, 99)), ((0, 0), (199, 99)), ((0, 0), (199, 0)), ((199, 5), (199, 90))]
)
def test_a_text_stands_beside_its_line_within_the_picture(line: Any) -> None:
    canvas = np.zeros((100, 200, 3), np.uint8)
    write_beside(canvas, line, "in: 3  out: 12", scale=0.4, thickness=1, colour=(0, 200, 0))
    rows, columns = np.nonzero(canvas.any(axis=2))
    assert rows.min() >= 0 and rows.max() < 100 and columns.max() - columns.min() > 60
    on_line = np.zeros((100, 200), np.uint8)
    cv2.line(on_line, *line, 255, 1)
    assert not (canvas.any(axis=2) & (on_line > 0)).any()


def test_a_text_that_is_too_large_is_made_smaller() -> None:
    canvas = np.zeros((30, 60, 3), np.uint8)
    write_beside(canvas, ((0, 15), (59, 15)), "in: 3  out: 12", scale=4, thickness=3, colour=(255, 255, 255))
    dark = (canvas == 0).all(axis=2)
    rows, columns = np.nonzero(~dark)
    assert columns.max() - columns.min() <= 60 and len(rows) < 60 * 30
