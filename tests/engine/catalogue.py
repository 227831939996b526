"""Wrong definitions and inputs, one mistake each: what people misspell, forget, mix up and misplace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from florence_blocks.demo import draw_scene

SCENE = draw_scene(41, width=160, height=160, shapes=3, words=0)
GOOD: dict[str, Any] = {
    "version": "1.0",
    "inputs": [
        {"type": "WorkflowImage", "name": "image"},
        {"type": "WorkflowParameter", "name": "classes", "default_value": [SCENE.shapes[0].category]},
        {"type": "WorkflowParameter", "name": "smallest", "kind": ["integer"], "default_value": 10},
    ],
    "steps": [
        {"type": "florence/open_vocabulary_detection@v1", "name": "find", "images": "$inputs.image",
         "classes": "$inputs.classes"},
        {"type": "vision/detections_filter@v1", "name": "large", "predictions": "$steps.find.predictions",
         "min_area": "$inputs.smallest"},
        {"type": "vision/dynamic_crop@v1", "name": "crop", "images": "$inputs.image",
         "predictions": "$steps.large.predictions"},
        {"type": "florence/caption@v1", "name": "describe", "images": "$steps.crop.crops"},
        {"type": "vision/detections_count@v1", "name": "count", "predictions": "$steps.large.predictions"},
        {"type": "vision/continue_if@v1", "name": "some", "next_steps": ["$steps.say"],
         "evaluation_parameters": {"n": "$steps.count.count"},
         "condition_statement": {"type": "StatementGroup", "statements": [
             {"type": "BinaryStatement", "left_operand": {"type": "DynamicOperand", "operand_name": "n"},
              "comparator": {"type": "(Number) >="}, "right_operand": {"type": "StaticOperand", "value": 1}}]}},
        {"type": "vision/string_template@v1", "name": "say", "template": "{n} found", "data": {"n": "$steps.count.count"}},
    ],
    "outputs": [
        {"type": "JsonField", "name": "captions", "selector": "$steps.describe.caption"},
        {"type": "JsonField", "name": "sentence", "selector": "$steps.say.output"},
    ],
}  # fmt: skip
FIND, LARGE, CROP, DESCRIBE, COUNT, SOME, SAY = range(7)


@dataclass(frozen=True)
class Mistake:
    """What is done wrong: changes of the good definition, other inputs, or a definition that is something else."""

    about: str
    change: Callable[[dict[str, Any]], Any] = lambda definition: None
    inputs: Mapping[str, Any] | None = None
    source: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def definition(self) -> Any:
        """The definition with the mistake."""
        if self.source is not None:
            return self.source
        definition = deepcopy(GOOD)
        self.change(definition)
        return definition


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Puts a value at a place such as `steps.0.name`."""

    def change(definition: Any) -> None:
        *way, last = path.split(".")
        for part in way:
            definition = definition[int(part) if part.isdigit() else part]
        definition[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    """Removes what is at a place."""

    def change(definition: Any) -> None:
        *way, last = path.split(".")
        for part in way:
            definition = definition[int(part) if part.isdigit() else part]
        del definition[int(last) if last.isdigit() else last]

    return change


def step(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """One more step, whose outputs nobody uses."""
    return lambda definition: definition["steps"].append({"name": "more", **fields})


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Several changes."""

    def change(definition: dict[str, Any]) -> None:
        for one in changes:
            one(definition)

    return change


def good(**inputs: Any) -> dict[str, Any]:
    """Good inputs but for these."""
    return {"image": SCENE.image, **inputs}


DEFINITIONS = (
    Mistake("JSON with a comma too many", source='{"version": "1.0",}'),
    Mistake("a list instead of an object", source="[]"),
    Mistake("a number instead of a definition", source=7),
    Mistake("a file that is not there", source="absent/workflow.json"),
    Mistake("no version", drop("version")),
    Mistake("a version that is not known", put("version", "2.0")),
    Mistake("a misspelt field of the document", put("descripton", "what it does")),
    Mistake("inputs as an object", put("inputs", {"image": "WorkflowImage"})),
    Mistake("an input without a name", drop("inputs.0.name")),
    Mistake("a misspelt type of input", put("inputs.0.type", "WorkflowImge")),
    Mistake("two inputs of one name", put("inputs.1.name", "image")),
    Mistake("a name with a dot", put("inputs.1.name", "the.classes")),
    Mistake("a kind that is not known", put("inputs.2.kind", ["integr"])),
    Mistake("a step that is text", put("steps.0", "detect")),
    Mistake("a step without a type", drop("steps.0.type")),
    Mistake("a misspelt type of step", put("steps.0.type", "florence/open_vocabulary_detecton@v1")),
    Mistake("a type without its version", put("steps.3.type", "florence/caption")),
    Mistake("a type of nobody", put("steps.0.type", "acme/whatever@v1")),
    Mistake("a block of another runtime", put("steps.0.type", "roboflow_core/email_notification@v1")),
    Mistake("a step without a name", drop("steps.3.name")),
    Mistake("two steps of one name", put("steps.1.name", "find")),
    Mistake("a misspelt field", put("steps.2.paddding", 4)),
    Mistake("a field that is missing", drop("steps.2.predictions")),
    Mistake("a text instead of a number", put("steps.2.padding", "four")),
    Mistake("a number that is too small", put("steps.2.padding", -1)),
    Mistake("a word that is not among the choices", put("steps.3.granularity", "verbose")),
    Mistake("a number in a list of texts", put("steps.0.classes", ["star", 5])),
    Mistake("an empty list of classes", put("steps.0.classes", [])),
    Mistake("a literal instead of a reference", put("steps.3.images", "photo.jpg")),
    Mistake("a selector of something else", put("steps.3.images", "$input.image")),
    Mistake("a selector without a name", put("steps.3.images", "$inputs")),
    Mistake("an input that is not there", put("steps.0.images", "$inputs.imag")),
    Mistake("a step that is not there", put("steps.1.predictions", "$steps.fnd.predictions")),
    Mistake("an output that is not there", put("steps.1.predictions", "$steps.find.prediction")),
    Mistake("a step instead of its output", put("steps.1.predictions", "$steps.find")),
    Mistake("detections where an image is wanted", put("steps.3.images", "$steps.large.predictions")),
    Mistake("an image where detections are wanted", put("steps.1.predictions", "$inputs.image")),
    Mistake("a parameter where an image is wanted", put("steps.3.images", "$inputs.smallest")),
    Mistake("steps that wait for each other", put("steps.0.classes", "$steps.describe.caption")),
    Mistake("a step that waits for itself", put("steps.1.predictions", "$steps.large.predictions")),
    Mistake("a gate before what it depends on", put("steps.5.next_steps", ["$steps.find"])),
    Mistake("a gate before no step", put("steps.5.next_steps", ["$steps.sya"])),
    Mistake("a gate before an output", put("steps.5.next_steps", ["$steps.say.output"])),
    Mistake("a gate as a source of values", put("steps.6.data", {"n": "$steps.some.result"})),
    Mistake("a comparator that is not known",
            put("steps.5.condition_statement.statements.0.comparator", {"type": "(Number) =>"})),
    Mistake("a condition about a value it does not get", put("steps.5.evaluation_parameters", {"m": "$steps.count.count"})),
    Mistake("a condition without statements", put("steps.5.condition_statement.statements", [])),
    Mistake("an operation that is not known", step(type="vision/property_definition@v1", data="$steps.find.predictions",
                                                   operations=[{"type": "SequenceLenght"}])),
    Mistake("a filter that does not read", put("steps.1.where", "area > ")),
    Mistake("a filter about what detections do not have", put("steps.1.where", "aera > 5")),
    Mistake("crops and slices in one step", both(
        step(type="vision/image_slicer@v1", image="$inputs.image"),
        put("steps.6.data", {"n": "$steps.crop.crops", "m": "$steps.more.slices"}))),
    Mistake("a stitch of what was not sliced", step(type="vision/detections_stitch@v1", reference_image="$inputs.image",
                                                    predictions="$steps.find.predictions")),
    Mistake("an output of nothing", put("outputs.0.selector", "$steps.describe.captions")),
    Mistake("an output without a selector", drop("outputs.0.selector")),
    Mistake("two outputs of one name", put("outputs.1.name", "captions")),
    Mistake("an output of a literal", put("outputs.0.selector", "captions")),
    Mistake("a coordinate system that is not known", put("outputs.0.coordinates_system", "root")),
    Mistake("a default that its field refuses", put("inputs.2.default_value", "many")),
    Mistake("blocks written in the definition", put("dynamic_blocks_definitions", [{"code": "import os"}])),
)  # fmt: skip

INPUTS = (
    Mistake("no image", inputs={}),
    Mistake("a misspelt input", inputs=good(clases=["star"])),
    Mistake("a parameter of another type", inputs=good(smallest="many")),
    Mistake("an empty list for a parameter", inputs=good(classes=[])),
    Mistake("a parameter that is needed", both(put("steps.2.padding", "$inputs.smallest"),
                                               drop("inputs.2.default_value")), good()),
    Mistake("batches of different lengths", put("inputs.1", {"type": "WorkflowBatchInput", "name": "classes"}),
            {"image": [SCENE.image, SCENE.image], "classes": [["star"]] * 3}),
    Mistake("inputs as a list", inputs=[SCENE.image]),  # type: ignore[arg-type]
)  # fmt: skip

ELEMENTS = (
    Mistake("an image that is not there", inputs={"image": "absent.png"}),
    Mistake("a file that is no image", inputs={"image": "no-image.png"}),
    Mistake("a torn file", inputs={"image": "torn.png"}),
    Mistake("an address", inputs={"image": "https://example.invalid/a.png"}),
    Mistake("a text that is no base64", inputs={"image": {"type": "base64", "value": "@@@"}}),
    Mistake("an array of floats", inputs={"image": np.zeros((4, 4, 3), np.float32)}),
    Mistake("an array of five channels", inputs={"image": np.zeros((4, 4, 5), np.uint8)}),
    Mistake("an empty array", inputs={"image": np.zeros((0, 4, 3), np.uint8)}),
    Mistake("nothing", inputs={"image": [SCENE.image, None]}),
    Mistake("a number", inputs={"image": 7}),
    Mistake("a model that is not there", put("steps.3.model_id", "./absent-model")),
    Mistake("a placeholder without a value", put("steps.6.template", "{m} found")),
    Mistake("an even kernel", step(type="vision/image_blur@v1", image="$inputs.image", blur_type="median", kernel_size=4)),
    Mistake("a colour that is not known", step(type="vision/background_color_visualization@v1", image="$inputs.image",
                                               predictions="$steps.find.predictions", color="blurple")),
    Mistake("a palette without colours", step(type="vision/label_visualization@v1", image="$inputs.image",
                                              predictions="$steps.find.predictions", color_palette="CUSTOM")),
    Mistake("a crop outside of its image", step(type="vision/absolute_static_crop@v1", image="$inputs.image", x_center=900,
                                                y_center=900, width=10, height=10)),
    Mistake("files where none are allowed", step(type="vision/local_file_sink@v1", content="$steps.say.output",
                                                 file_type="txt", output_mode="separate_files", target_directory="notes")),
    Mistake("regions of the wrong form", step(type="florence/region_caption@v1", images="$inputs.image", regions=[[1, 2, 3]])),
    Mistake("regions outside of the image", step(type="florence/region_caption@v1", images="$inputs.image",
                                                 regions=[[200, 100, 220, 120]])),
    Mistake("tracks of what is not tracked", step(type="vision/line_counter@v1", detections="$steps.find.predictions",
                                                  line_segment=[[0, 0], [40, 40]])),
    Mistake("no time in a picture", step(type="vision/time_in_zone@v1", image="$inputs.image",
                                         detections="$steps.find.predictions", zone=[[0, 0], [9, 0], [9, 9]])),
)  # fmt: skip
