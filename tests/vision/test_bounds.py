"""Numbers of steps that are far too large: told with a reason when the definition is checked, and whatever way they come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.vision.test_blocks import PIXELS, found
from workflow_engine import WorkflowDefinitionError, WorkflowInputError, compile, registry
from workflow_engine.block import block_types
from workflow_engine.schema import block_schema


def unbounded(schema: Any, definitions: Mapping[str, Any], place: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The numbers of a schema without an upper or a lower bound."""
    if isinstance(schema, list):
        for item in schema:
            yield from unbounded(item, definitions, place, seen)
    if not isinstance(schema, dict):
        return
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        yield from unbounded(definitions[name], definitions, place, (*seen, name))
    if schema.get("type") in ("integer", "number"):
        bounds = [schema.get(key) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")]
        if sum(bound is not None and math.isfinite(bound) for bound in bounds) < 2:
            yield place
    for key, inner in schema.items():
        if key not in ("default", "const", "enum", "examples"):
            yield from unbounded(inner, definitions, place, seen)


def test_every_number_of_every_block_has_bounds() -> None:
    open_ones = []
    for block in dict.fromkeys(registry().blocks.values()):
        schema = block_schema(block)
        for name, field in schema["properties"].items():
            open_ones += [f"{block_types(block)[0]}.{place}" for place in unbounded(field, schema.get("$defs", {}), name)]
    assert open_ones == [], "Bounded says the largest number and why"


def definition(fields: dict[str, Any]) -> dict[str, Any]:
    image = {} if "images" in fields else {"image": "$inputs.image"}
    return {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowBatchInput", "name": "d",
                                                                "kind": ["object_detection_prediction"]},
                   {"type": "WorkflowParameter", "name": "n", "default_value": 1}],
        "steps": [{"name": "s", **image, **fields}],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.*"}],
    }  # fmt: skip


HUGE: list[tuple[dict[str, Any], str, int | float, str]] = [
    ({"type": "vision/image_preprocessing@v1", "task_type": "resize"}, "width", 10**6, "16,384 would fit; .* take gigabytes"),
    ({"type": "vision/image_blur@v1"}, "kernel_size", 10**5, "1,001 would fit; .* take minutes"),
    ({"type": "vision/morphological_transformation@v1"}, "kernel_size", 10**5, "1,001 would fit"),
    ({"type": "vision/dominant_color@v1"}, "color_clusters", 10**6, "256 would fit"),
    ({"type": "vision/text_display@v1", "text": "hi"}, "font_scale", 1e6, "100.0 would fit; larger letters"),
    ({"type": "vision/text_display@v1", "text": "hi"}, "offset_x", -(10**9), "from -1,000,000 to 1,000,000 would fit"),
    ({"type": "vision/crop_visualization@v1", "predictions": "$inputs.d"}, "scale_factor", 1000.0, "10.0 would fit"),
    ({"type": "vision/label_visualization@v1", "predictions": "$inputs.d"}, "text_scale", 1e300, "100.0 would fit"),
    ({"type": "vision/label_visualization@v1", "predictions": "$inputs.d"}, "text_thickness", 10**9, "1,000 would fit"),
    (
        {"type": "vision/icon_visualization@v1", "mode": "static", "icon": "$inputs.image"},
        "icon_width",
        10**7,
        "16,384 would fit",
    ),
    ({"type": "vision/bounding_box_visualization@v1", "predictions": "$inputs.d"}, "palette_size", 10**9, "1,024 would fit"),
    ({"type": "florence/caption@v1", "images": "$inputs.image"}, "max_new_tokens", 10**9, "100,000 would fit; no checkpoint"),
]


@pytest.mark.parametrize(("fields", "name", "value", "said"), HUGE)
def test_a_huge_number_is_told_with_a_reason(fields: dict[str, Any], name: str, value: Any, said: str) -> None:
    compile(definition(fields))
    for huge in (value, 10**5000 if isinstance(value, int) else math.inf, math.nan):
        with pytest.raises(WorkflowDefinitionError, match=f"steps.0..{name}: ") as error:
            compile(definition({**fields, name: huge}))
        assert len(str(error.value)) < 500
    with pytest.raises(WorkflowDefinitionError, match=said):
        compile(definition({**fields, name: value}))


@pytest.mark.parametrize(("fields", "name", "value", "said"), HUGE)
def test_a_huge_number_is_told_likewise_where_it_is_a_parameter(
    fields: dict[str, Any], name: str, value: Any, said: str
) -> None:
    workflow = compile(definition({**fields, name: "$inputs.n"}))
    with pytest.raises(WorkflowInputError, match=said):
        workflow.run(image=PIXELS, d=found(), n=value)


def test_a_bilateral_blur_of_a_large_kernel_is_refused() -> None:
    fields = {"type": "vision/image_blur@v1", "blur_type": "bilateral", "kernel_size": 501}
    (error,) = compile(definition(fields)).run(image=PIXELS, d=found()).report.errors
    assert "takes up to 101" in error.message
