"""The definitions that `engine.py` measures: made of blocks that both runtimes have, under the names of the language.

Every case is `{"meta": {"name", "steps", "elements", "feed"}, "definition"}`; `feed` says what the worker gives as inputs,
`elements` how many images or crops one run touches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

IMAGE = {"type": "WorkflowImage", "name": "image"}
FOUND = {"type": "WorkflowBatchInput", "name": "predictions", "kind": ["object_detection_prediction"]}
VALUE = {"type": "WorkflowParameter", "name": "value"}
Step = dict[str, Any]
Case = dict[str, Any]


def cases() -> list[Case]:
    """All cases, from pixels to gates."""
    return [*_pixels(), *_static_crops(), *_values(), *_batches(), *_crops(), *_queries(), *_gates(), *_drawings()]


def _step(type_: str, name: str, **fields: Any) -> Step:
    return {"type": f"roboflow_core/{type_}", "name": name, **fields}


def _case(
    name: str, inputs: list[Any], steps: list[Step], outputs: dict[str, str], feed: dict[str, Any], elements: int = 1
) -> Case:
    selected = [{"type": "JsonField", "name": key, "selector": selector} for key, selector in outputs.items()]
    definition = {"version": "1.3.0", "inputs": inputs, "steps": steps, "outputs": selected}
    return {"meta": {"name": name, "steps": len(steps), "elements": elements, "feed": feed}, "definition": definition}


def _images(number: int, width: int, height: int, boxes: int = 0) -> dict[str, Any]:
    feed: dict[str, Any] = {"image": {"n": number, "w": width, "h": height}}
    if boxes:
        feed["predictions"] = {"boxes": boxes}
    return feed


def _pixels() -> list[Case]:
    steps = [
        _step("image_blur@v1", "blur", image="$inputs.image", blur_type="gaussian", kernel_size=5),
        _step("convert_grayscale@v1", "gray", image="$steps.blur.image"),
    ]
    return [
        _case(f"a_blur_gray_{width}x{height}", [IMAGE], steps, {"result": "$steps.gray.image"}, _images(1, width, height))
        for width, height in ((640, 480), (64, 64))
    ]


def _static_crops() -> list[Case]:
    def crop(number: int, image: str) -> Step:
        share = {"x_center": 0.5, "y_center": 0.5, "width": 0.98, "height": 0.98}
        return _step("relative_statoic_crop@v1", f"c{number}", images=image, **share)

    chain = [crop(number, f"$steps.c{number - 1}.crops" if number else "$inputs.image") for number in range(10)]
    found = [_case("b_crop_chain10", [IMAGE], chain, {"result": "$steps.c9.crops"}, _images(1, 640, 480))]
    for count in (10, 30):
        fan = [crop(number, "$inputs.image") for number in range(count)]
        outputs = {f"r{number}": f"$steps.c{number}.crops" for number in range(count)}
        found.append(_case(f"b_crop_fanout{count}", [IMAGE], fan, outputs, _images(1, 640, 480)))
    return found


def _values() -> list[Case]:
    def first(name: str, value: str) -> Step:
        return _step("first_non_empty_or_default@v1", name, data=[value], default="x")

    def text(name: str, value: str) -> Step:
        # the first lifts the parameter: there, this block takes no parameter
        if value.startswith("$inputs"):
            return first(name, value)
        return _step("property_definition@v1", name, data=value, operations=[{"type": "ToString"}])

    def template(name: str, value: str) -> Step:
        return _step("string_template@v1", name, template="{v}", data={"v": value})

    def chain(name: str, count: int, make: Callable[[str, str], Step]) -> Case:
        steps = [make(f"s{number}", f"$steps.s{number - 1}.output" if number else "$inputs.value") for number in range(count)]
        return _case(f"{name}_{count}", [VALUE], steps, {"result": f"$steps.s{count - 1}.output"}, {"value": "hello"})

    fan = [first(f"s{number}", "$inputs.value") for number in range(50)]
    outputs = {f"r{number}": f"$steps.s{number}.output" for number in range(50)}
    return [
        *(chain("c_first_non_empty", count, first) for count in (1, 50, 200)),
        *(chain("c_property", count, text) for count in (50, 200)),
        chain("c_string_template", 50, template),
        _case("c_first_non_empty_fanout50", [VALUE], fan, outputs, {"value": "hello"}),
    ]


def _batches() -> list[Case]:
    crop = _step("absolute_static_crop@v1", "crop", images="$inputs.image", x_center=160, y_center=120, width=320, height=240)
    draw = _step(
        "bounding_box_visualization@v1", "draw", image="$steps.crop.crops", predictions="$inputs.predictions"
    )  # the crop is the whole image, so that boxes lie alike on both
    return [
        _case("d_batch64_crop_draw", [IMAGE, FOUND], [crop, draw], {"result": "$steps.draw.image"},
              _images(64, 320, 240, boxes=5), 64),
        _case("d_batch64_crop_only", [IMAGE], [crop], {"result": "$steps.crop.crops"}, _images(64, 320, 240), 64),
    ]  # fmt: skip


def _crops() -> list[Case]:
    crop = _step("dynamic_crop@v1", "crop", images="$inputs.image", predictions="$inputs.predictions")
    name = [{"type": "DetectionsPropertyExtract", "property_name": "class_name"}]
    named = _step("property_definition@v1", "per", data="$steps.crop.predictions", operations=name)
    grey = _step("convert_grayscale@v1", "per", image="$steps.crop.crops")
    one, eight = _images(1, 1280, 720, boxes=100), _images(8, 1280, 720, boxes=100)

    def collapsed(per: Step, selector: str) -> list[Step]:
        return [crop, per, _step("dimension_collapse@v1", "collapse", data=selector)]

    inputs, result = [IMAGE, FOUND], {"result": "$steps.collapse.output"}
    return [
        _case("e_crops100_only", inputs, [crop], {"result": "$steps.crop.crops"}, one, 100),
        _case("e_crops100_outputs", inputs, [crop], {"all": "$steps.crop.*"}, one, 100),
        _case("e_crops100_gray", inputs, collapsed(grey, "$steps.per.image"), result, one, 100),
        _case("e_crops100_property", inputs, collapsed(named, "$steps.per.output"), result, one, 100),
        _case("e_crops8x100_property", inputs, collapsed(named, "$steps.per.output"), result, eight, 800),
    ]


def _condition(left: Step, comparator: str, right: Any) -> Step:
    statement = {"type": "BinaryStatement", "left_operand": left, "comparator": {"type": comparator},
                 "right_operand": {"type": "StaticOperand", "value": right}}  # fmt: skip
    return {"type": "StatementGroup", "operator": "and", "statements": [statement]}


def _queries() -> list[Case]:
    def detection(name: str) -> Step:
        return {"type": "DynamicOperand", "operand_name": "_",
                "operations": [{"type": "ExtractDetectionProperty", "property_name": name}]}  # fmt: skip

    both = _condition(detection("class_name"), "in (Sequence)", ["class_0", "class_1"])
    both["statements"] += _condition(detection("size"), "(Number) >", 1600)["statements"]
    kept = _step("detections_filter@v1", "kept", predictions="$inputs.predictions", operations_parameters={},
                 operations=[{"type": "DetectionsFilter", "filter_operation": both}])  # fmt: skip
    return [
        _case("f_filter100", [FOUND, IMAGE], [kept], {"result": "$steps.kept.predictions"}, _images(1, 640, 480, boxes=100))
    ]


def _gates() -> list[Case]:
    count = {"type": "DynamicOperand", "operand_name": "found", "operations": [{"type": "SequenceLength"}]}
    gate = _step("continue_if@v1", "gate", condition_statement=_condition(count, "(Number) >=", 1),
                 evaluation_parameters={"found": "$inputs.predictions"}, next_steps=["$steps.crop"])  # fmt: skip
    crop = _step("absolute_static_crop@v1", "crop", images="$inputs.image", x_center=160, y_center=120, width=300, height=220)
    return [
        _case("g_gate64", [IMAGE, FOUND], [gate, crop], {"result": "$steps.crop.crops"}, _images(64, 320, 240, boxes=5), 64)
    ]


def _drawings() -> list[Case]:
    def draw(type_: str, boxes: int) -> Case:
        step = _step(type_, "draw", image="$inputs.image", predictions="$inputs.predictions")
        name = f"h_{type_.removesuffix('_visualization@v1')}{boxes}"
        return _case(name, [IMAGE, FOUND], [step], {"result": "$steps.draw.image"}, _images(1, 1280, 720, boxes=boxes))

    return [
        *(draw("label_visualization@v1", boxes) for boxes in (10, 100, 300, 1000)),
        draw("bounding_box_visualization@v1", 100),
        draw("blur_visualization@v1", 20),
    ]
