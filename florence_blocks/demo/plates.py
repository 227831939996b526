"""A picture of what every drawing block draws, made by the example in its documentation; part of the gallery."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from florence_blocks.demo.film import draw_film
from florence_blocks.demo.scenes import draw_scene
from workflow_engine import Block, Image, compile, registry
from workflow_engine.block import block_types
from workflow_engine.cli.listing import example, summary

FOLDER = "blocks"
_SIZE = 160
_FAMILIES = ("drawings", "panels", "zones")
_COLUMNS = 4
_SOURCES: tuple[dict[str, Any], ...] = (
    {"type": "florence/object_detection@v1", "name": "detect", "images": "$inputs.image"},
    {"type": "florence/dense_region_caption@v1", "name": "one", "images": "$inputs.image"},
    {"type": "florence/region_proposal@v1", "name": "other", "images": "$inputs.image"},
    {"type": "florence/region_segmentation@v1", "name": "outline", "images": "$inputs.image",
     "regions": "$steps.detect.predictions"},
    {"type": "florence/ocr_with_regions@v1", "name": "read", "images": "$inputs.image"},
    {"type": "florence/caption@v1", "name": "describe", "images": "$inputs.image"},
    {"type": "vision/dynamic_crop@v1", "name": "cut", "images": "$inputs.image", "predictions": "$steps.detect.predictions"},
    {"type": "vision/dimension_collapse@v1", "name": "all_crops", "data": "$steps.cut.crops"},
    {"type": "vision/byte_tracker@v1", "name": "track", "image": "$inputs.image", "detections": "$steps.detect.predictions"},
    {"type": "vision/line_counter@v1", "name": "line", "image": "$inputs.image",
     "detections": "$steps.track.tracked_detections", "line_segment": [[80, 160], [80, 0]], "triggering_anchor": "CENTER"},
)  # fmt: skip
"""The steps that the examples lean on, by the names they use."""

_SHOWN_ON: Mapping[str, str] = {
    **dict.fromkeys(("mask", "polygon", "halo", "background_color"), "$steps.outline.predictions"),
    "quad": "$steps.read.predictions",
    "trace": "$steps.track.tracked_detections",
    "keypoint": "$inputs.keypoints",
}
_SMALLER: Mapping[str, Mapping[str, Any]] = {
    "text_display": {"font_scale": 0.4, "font_thickness": 1, "padding": 4},
    "grid": {"width": 160, "height": 160},
    "line_counter": {"zone": [[80, 150], [80, 10]], "text_scale": 0.35},
    "heatmap": {"radius": 15, "opacity": 0.5},
    "label": {"text_scale": 0.35},
    "pixelate": {"pixel_size": 8},
    "icon": {"icon_width": 24, "icon_height": 24},
    "keypoint": {"edges": [[1, 3], [2, 3], [4, 3], [5, 3]]},
    "percentage_bar": {"width": 40, "height": 8},
}
"""What the examples need besides, on pictures as small as these."""


def drawing_blocks() -> dict[str, type[Block]]:
    """Every block that draws, by its name without `_visualization`."""
    blocks = dict.fromkeys(registry().blocks.values())
    drawing = [block for block in blocks if block.__module__.rpartition(".")[2] in _FAMILIES and "image" in block.outputs]
    return {block_types(block)[0].split("/")[1].split("@")[0].removesuffix("_visualization"): block for block in drawing}


def draw_plates(folder: Path) -> str:
    """Write a picture for every drawing block into `folder`, and give the part of the page that shows them."""
    folder.mkdir(exist_ok=True)
    blocks = drawing_blocks()
    steps = [_step(name, block) for name, block in blocks.items()]
    workflow = compile({
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowImage", "name": "icon"},
                   {"type": "WorkflowBatchInput", "name": "keypoints", "kind": ["keypoint_detection_prediction"]}],
        "steps": [*_SOURCES, *steps],
        "outputs": [{"type": "JsonField", "name": name, "selector": f"$steps.{name}.image"} for name in blocks],
    })  # fmt: skip
    film = draw_film(3, frames=12, width=_SIZE, height=_SIZE)
    frames = [Image(frame.image, seconds=number / film.rate) for number, frame in enumerate(film)]
    scene = draw_scene(31, width=_SIZE, height=_SIZE, shapes=2, words=1)
    given: dict[str, Any] = {"icon": _tick(), "keypoints": {"predictions": [_corners(shape.box) for shape in scene.shapes]}}
    *_, moving = workflow.stream(frames, input="image", on_error="raise", **given)
    (still,) = workflow.stream([Image(scene.image)], input="image", on_error="raise", **given)
    for name in blocks:
        drawn = (moving if name in ("trace", "line_counter") else still).outputs[name]
        cv2.imwrite(str(folder / f"{name}.png"), drawn.bgr)
    cells = [f"![{name}](images/{FOLDER}/{name}.png)<br>`{block_types(block)[0]}`<br>{summary(block)}"
             for name, block in blocks.items()]  # fmt: skip
    rows = [f"| {' | '.join(cells[first : first + _COLUMNS])} |" for first in range(0, len(cells), _COLUMNS)]
    return "\n".join(["## What the drawing blocks draw", "", "|" + " |" * _COLUMNS, "|" + " --- |" * _COLUMNS, *rows, ""])


def _tick() -> NDArray[np.uint8]:
    """An icon: a tick on a disc, transparent around it, `[height, width, BGRA]`."""
    icon = np.zeros((64, 64, 4), np.uint8)
    cv2.circle(icon, (32, 32), 28, (80, 160, 40, 255), -1, cv2.LINE_AA)
    cv2.polylines(icon, [np.array([[18, 34], [28, 44], [46, 22]])], False, (255, 255, 255, 255), 6, cv2.LINE_AA)
    return icon


def _corners(box: tuple[float, float, float, float]) -> dict[str, Any]:
    """A box as a detection whose keypoints are its corners and its middle."""
    x1, y1, x2, y2 = box
    middle = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2}
    points = [{"x": x1, "y": y1}, {"x": x2, "y": y1}, middle, {"x": x1, "y": y2}, {"x": x2, "y": y2}]
    keypoints = [{**point, "class": str(place), "class_id": place} for place, point in enumerate(points)]
    return {**middle, "width": x2 - x1, "height": y2 - y1, "class": "shape", "keypoints": keypoints}


def _step(name: str, block: type[Block]) -> dict[str, Any]:
    """The example of a block, as a step of this workflow."""
    step = json.loads(json.dumps(example(block)))
    if name in _SHOWN_ON:
        step["predictions"] = _SHOWN_ON[name]
    return {**step, **_SMALLER.get(name, {}), "name": name}
