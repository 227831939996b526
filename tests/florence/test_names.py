"""Names of classes as callers give them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from florence_blocks.names import MOST_NAMES, ClassList, cleaned


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (["circle", " star"], {"circle": 0, "star": 1}),
        (["star", "star"], {"star": 0}),
        ([" star", "star\n", "\u00a0star\ufeff", "circle"], {"star": 0, "circle": 3}),
        (["circle", "", "star", ""], {"circle": 0, "star": 2}),
        (("a", "b"), {"a": 0, "b": 1}),
        ((name for name in ("a", "b")), {"a": 0, "b": 1}),
        ({"a": 5, "b": 6}.keys(), {"a": 0, "b": 1}),
        ({"b", "a"}, {"a": 0, "b": 1}),
        (np.array(["b", "a"]), {"b": 0, "a": 1}),
        (["car", "car door"], {"car": 0, "car door": 1}),
        (["Star", "star"], {"Star": 0, "star": 1}),
        ([unicodedata.normalize("NFD", "café"), unicodedata.normalize("NFC", "café")], {"café": 0}),
        ([], {}),
    ],
)
def test_names_are_cleaned_and_keep_their_places(given: Iterable[object], places: dict[str, int]) -> None:
    found = ClassList.of(given)
    assert dict(found.places) == places and found.names == tuple(places)
    assert all(type(name) is str for name in found.names)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("circle, star", r"a list of classes is needed, not one text; \['circle', 'star'\] would fit"),
        (b"star", r"not one text; \['star'\] would fit"),
        (np.array("star"), "a list of classes is needed"),
        (7, "not a number"),
        (["star", None], r"classes\[1\] is nothing \(null\)"),
        ({0: "circle"}, r"classes\[0\] is a number, 0"),
        ([f"name {number}" for number in range(MOST_NAMES + 1)], "10001 classes; at most 10000"),
    ],
)
def test_what_is_no_list_of_names_is_told(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClassList.of(given)


def test_ids_are_places_and_strangers_come_behind_the_list() -> None:
    listed = ClassList.of(["circle", "", "star", "star"])
    assert listed.ids(["star", "dog", "circle", "cat", "dog"]) == [2, 4, 0, 5, 4]
    assert ClassList().ids(["b", "a", "b"]) == [0, 1, 0]


def test_cleaning_leaves_the_inside_alone() -> None:
    assert cleaned("\tcar  door ") == "car  door"
