"""The JSON Schemas in the tree are fresh, take what compiles and refuse what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from workflow_engine import compile
from workflow_engine.schema import document_schema, write_schemas

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "example_workflows").glob("*.json"))


def test_the_schemas_in_the_tree_are_fresh(tmp_path: Path) -> None:
    fresh = {path.relative_to(tmp_path): path.read_text() for path in write_schemas(tmp_path)}
    kept = {path.relative_to(ROOT / "schemas"): path.read_text() for path in (ROOT / "schemas").rglob("*.json")}
    assert kept == fresh, "`make schemas` writes them anew"


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = document_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_validates_and_compiles(validator: Any, path: Path) -> None:
    definition = json.loads(path.read_text())
    assert list(validator.iter_errors(definition)) == []
    assert compile(definition).warnings == ()


def definition(**step: Any) -> dict[str, Any]:
    return {"version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}], "outputs": [],
            "steps": [{"name": "s", "type": "vision/image_blur@v1", "image": "$inputs.image", **step}]}  # fmt: skip


def test_other_spellings_of_a_field_validate(validator: Any) -> None:
    other = definition()
    other["steps"][0]["images"] = other["steps"][0].pop("image")
    assert validator.is_valid(other)


@pytest.mark.parametrize(
    "wrong",
    [
        definition(kernel=3),
        definition(kernel_size=0),
        definition(kernel_size="three"),
        definition(blur_type="strong"),
        definition(image="photo.jpg"),
        definition(type="vision/image_blurr@v1"),
        definition(name="a b"),
        {**definition(), "version": "2.0"},
        {**definition(), "inputs": [{"type": "WorkflowImag", "name": "image"}]},
    ],
)
def test_what_does_not_compile_does_not_validate(validator: Any, wrong: dict[str, Any]) -> None:
    assert validator.is_valid(definition())
    assert not validator.is_valid(wrong)
    with pytest.raises(Exception, match="problem"):
        compile(wrong)
