"""The overlap to expect of outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from florence_blocks.evidence import NEAR, deviations
from florence_blocks.overlap import Outline, expected_overlap

SQUARE = np.array([(100.0, 100.0), (300.0, 100.0), (300.0, 300.0), (100.0, 300.0)])
CERTAIN = np.eye(2 * NEAR + 1, dtype=np.float32)[NEAR]


def bell(width: float) -> NDArray[np.float32]:
    """A distribution around a location that gets broader with its width; all of it lies near."""
    offsets = np.arange(-NEAR, NEAR + 1)
    weights = np.exp(-0.5 * (offsets / width) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def of(corners: NDArray[np.float64], near: NDArray[np.float32], closing: float = 1.0) -> Outline:
    """An outline with one distribution, or one per coordinate."""
    return Outline(corners, np.broadcast_to(near, (*corners.shape, 2 * NEAR + 1)), closing)


def overlap(corners: NDArray[np.float64], near: NDArray[np.float32], closing: float = 1.0) -> float:
    return expected_overlap([of(corners, near, closing)])


def with_doubt(corner: int, axis: int, width: float, corners: NDArray[np.float64] = SQUARE) -> float:
    """The overlap of an outline of which one coordinate is in doubt."""
    near = np.broadcast_to(CERTAIN, (*corners.shape, 2 * NEAR + 1)).copy()
    near[corner, axis] = bell(width)
    return overlap(corners, near)


def test_without_doubt_it_is_whole_and_with_more_doubt_it_is_less() -> None:
    found = [overlap(SQUARE, CERTAIN), *(overlap(SQUARE, bell(width)) for width in (1, 3, 10, 30, 60))]
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True) and len(set(found)) == len(found)
    assert found[-1] < 0.4


def test_it_is_about_the_overlap_of_outlines_drawn_from_the_same_doubt() -> None:
    rng, width = np.random.default_rng(0), 12.0
    side = 200.0
    drawn = rng.normal(0, width, (2000, 4))  # x1, y1, x2, y2 of a box: each edge is moved by both of its corners
    inner = (side - np.abs(drawn).clip(0) @ np.array([[0.5, 0], [0, 0.5], [0.5, 0], [0, 0.5]])).prod(axis=1)
    outer = (side + np.abs(drawn) @ np.array([[0.5, 0], [0, 0.5], [0.5, 0], [0, 0.5]])).prod(axis=1)
    assert overlap(SQUARE, bell(width)) == pytest.approx(float((inner / outer).mean()), abs=0.08)


def test_a_corner_on_a_straight_line_may_slide_along_it() -> None:
    """What counts is how far it is off the line."""
    between = np.insert(SQUARE, 1, (200.0, 100.0), axis=0)  # on the upper edge
    assert with_doubt(1, 0, 30.0, between) == pytest.approx(1.0)
    assert with_doubt(1, 1, 30.0, between) < 0.95


def test_corners_between_others_change_nothing() -> None:
    """A finer outline of the same thing, whose corners are in the same doubt, is neither better nor worse."""
    finer = np.concatenate([np.linspace(one, other, 8, endpoint=False) for one, other in zip(SQUARE, np.roll(SQUARE, -1, 0),
                                                                                             strict=True)])  # fmt: skip
    assert overlap(finer, bell(10.0)) == pytest.approx(overlap(SQUARE, bell(10.0)), abs=0.06)


def test_doubt_counts_by_the_size_of_the_thing() -> None:
    assert overlap(2 * SQUARE, bell(20.0)) == pytest.approx(overlap(SQUARE, bell(10.0)), abs=0.01)


def test_the_first_corner_says_which_thing_it_is() -> None:
    elsewhere = 0.6 * CERTAIN  # the rest of the mass is on another thing, far off
    near = np.broadcast_to(CERTAIN, (4, 2, 2 * NEAR + 1)).copy()
    near[0, 0] = elsewhere
    assert overlap(SQUARE, near) < 0.6
    near[[0, 2], 0] = near[[2, 0], 0]
    assert 0.6 < overlap(SQUARE, near) < 0.9


def test_without_an_area_there_is_no_overlap() -> None:
    line = np.array([(0.0, 0.0), (10.0, 10.0), (20.0, 20.0)])
    assert overlap(line, CERTAIN) == 0.0 and expected_overlap([]) == 0.0
    assert expected_overlap([of(SQUARE, CERTAIN), of(line, CERTAIN)]) == pytest.approx(1.0)


def test_an_outline_that_crosses_itself_is_less_sure() -> None:
    crossed = SQUARE[[0, 2, 1, 3]] + np.array([(0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (40.0, 0.0)])
    assert overlap(crossed, bell(5.0)) < 0.5 * overlap(SQUARE, bell(5.0))


@given(
    corners=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=3, max_size=12),
    width=st.floats(0.3, 200),
    mass=st.floats(0, 1),
    closing=st.floats(0, 1),
)
def test_it_is_between_nothing_and_all_for_any_outline(
    corners: list[tuple[int, int]], width: float, mass: float, closing: float
) -> None:
    found = overlap(np.array(corners, float), np.float32(mass) * bell(width), closing)
    assert 0.0 <= found <= closing + 1e-6


def test_what_is_not_near_counts_as_far_off() -> None:
    assert deviations(np.stack([CERTAIN, 0.5 * CERTAIN, 0 * CERTAIN])) == pytest.approx([0.0, NEAR / 2, NEAR])
