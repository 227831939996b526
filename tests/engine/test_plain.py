"""Plain JSON: what is written anywhere can be read by every reader of JSON."""

from __future__ import annotations

import json
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision.documents import JsonFormatter
from florence_blocks.vision.operations import Chain
from workflow_engine import compile
from workflow_engine.cli.kept import FILE, Kept
from workflow_engine.data import Image
from workflow_engine.errors import WorkflowDefinitionError
from workflow_engine.plain import MAX_DEPTH, dumps, loads, plain
from workflow_engine.plugins import registry
from workflow_engine.results import to_json

NAN, INFINITY = float("nan"), float("inf")
WITH_NAN = {
    "a": NAN, "b": [INFINITY, {"c": -INFINITY}], "d": np.array([1, np.nan]), "e": np.float32("nan"), "f": (NAN,), "g": {NAN},
}  # fmt: skip
WITHOUT = {"a": None, "b": [None, {"c": None}], "d": [1.0, None], "e": None, "f": [None], "g": [None]}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def strict(text: str) -> Any:
    """What a reader says that knows no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


class Colour(IntEnum):
    RED = 1


def test_nan_and_infinity_are_null_at_any_depth() -> None:
    assert plain(WITH_NAN) == WITHOUT and strict(dumps(WITH_NAN)) == WITHOUT
    assert to_json(WITH_NAN, registry().kinds) == WITHOUT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.str_("a"), '"a"'),
        (Colour.RED, "1"),
        (Path("a/b"), '"a/b"'),
        ({1: "a", None: "b", False: "c"}, '{"1": "a", "null": "b", "false": "c"}'),
        ("ü\ud83d", '"\\u00fc\\ud83d"'),
        ("ü", '"ü"'),
    ],
)
def test_what_is_no_json_becomes_json(value: Any, text: str) -> None:
    assert dumps(value) == text
    dumps(value).encode()


def test_lists_deeper_than_a_bound_are_told_and_not_a_stack_that_overflows() -> None:
    assert loads(dumps(deep(MAX_DEPTH))) == deep(MAX_DEPTH)
    endless: list[Any] = []
    endless.append(endless)
    for value in (deep(MAX_DEPTH + 2), deep(100_000), endless):
        with pytest.raises(ValueError, match="levels"):
            dumps(value)
        assert "levels" in to_json({"a": value}, registry().kinds)
    for levels in (MAX_DEPTH + 2, 100_000):
        with pytest.raises(ValueError, match="levels"):
            loads("[" * levels + "]" * levels)


def test_a_definition_that_is_too_deep_is_told() -> None:
    for definition in ("[" * 100_000, '{"steps": ' + "[" * 400 + "]" * 400 + "}", {"steps": deep(5_000)}):
        with pytest.raises(WorkflowDefinitionError, match="levels"):
            compile(definition)


def test_the_lines_of_a_run_and_texts_of_blocks_know_no_nan(tmp_path: Path) -> None:
    found = sv.Detections(xyxy=np.array([[1, 2, 3, 4.0]]), confidence=np.array([NAN]))
    kept = Kept(tmp_path, "refuse", {})
    kept.add("half an emoji \ud83d", None, {"outputs": {"found": to_json(found, registry().kinds), "more": WITH_NAN}})
    kept.close()
    line = strict((tmp_path / FILE).read_text(encoding="utf-8"))
    assert line["outputs"]["found"]["predictions"][0]["confidence"] is None and line["outputs"]["more"] == WITHOUT
    assert strict(JsonFormatter().run({"found": found, "more": WITH_NAN}, {}, None))["more"] == WITHOUT
    assert strict(Chain.parse([{"type": "ConvertDictionaryToJSON"}])({"a": NAN, "b": found}))["a"] is None


def test_images_have_no_place_in_the_texts_of_blocks() -> None:
    with pytest.raises(ValueError, match="an Image has no place in JSON"):
        JsonFormatter().run({"image": Image(np.zeros((2, 2, 3), np.uint8))}, {}, None)
