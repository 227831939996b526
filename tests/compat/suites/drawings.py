"""Pictures of detections, with the defaults of the other runtime and with options."""

from __future__ import annotations

from typing import Any

from tests.compat.inputs import person, predictions
from tests.compat.writing import BLOCKS, FOUND, IMAGE, MASKS, NONE, THREE, Case, case, step

_ON_BOXES: dict[str, dict[str, Any]] = {
    "bounding_box_visualization@v1": {"thickness": 3, "roundness": 0.3},
    "label_visualization@v1": {"text": "Confidence", "text_position": "BOTTOM_LEFT", "text_scale": 0.4},
    "label_visualization@v2": {"text_size_mode": "Automatic", "text_padding": 2},
    "rich_label_visualization@v1": {"text": "Index", "font_size": 9, "border_radius": 3},
    "color_visualization@v1": {"opacity": 0.9},
    "corner_visualization@v1": {"thickness": 2, "corner_length": 7},
    "circle_visualization@v1": {"thickness": 4},
    "ellipse_visualization@v1": {"thickness": 1, "start_angle": 0, "end_angle": 180},
    "dot_visualization@v1": {"radius": 6, "position": "TOP_RIGHT", "outline_thickness": 1},
    "triangle_visualization@v1": {"base": 14, "height": 9, "position": "BOTTOM_CENTER"},
    "crop_visualization@v1": {"scale_factor": 1.5, "border_thickness": 1},
    "background_color_visualization@v1": {"opacity": 1.0, "color": "#00ff00"},
    "blur_visualization@v1": {"kernel_size": 5},
    "pixelate_visualization@v1": {"pixel_size": 6},
}
_ON_MASKS: dict[str, dict[str, Any]] = {
    "mask_visualization@v1": {"opacity": 0.8},
    "polygon_visualization@v1": {"thickness": 1},
    "halo_visualization@v1": {"opacity": 0.6, "kernel_size": 11},
}
_OTHER_PIXELS = ("label", "rich_label", "polygon", "halo", "ellipse")
"""Overlapping labels move apart here, and OpenCV 5 has other letters; polygons and halos have other annotators there;
supervision's ellipses changed."""
_COLOURS = {"color_palette": "CUSTOM", "custom_colors": ["#ff0000", "#00ff00", "#0000ff"], "color_axis": "INDEX"}


_PEOPLE = predictions(
    person((30, 20, 0, "nose"), (34, 18, 1, "left_eye"), (26, 18, 2, "right_eye"), (40, 40, 5, "left_shoulder")),
    person((110, 30, 0, "nose"), (120, 50, 5, "left_shoulder"), (100, 50, 6, "right_shoulder")),
)
_TOOLS = predictions(
    person((30, 20, 0, "tip"), (60, 40, 1, "grip"), (40, 70, 2, "end")), person((110, 30, 1, "grip"), (120, 90, 2, "end"))
)
_LARGEST = {"type": "DetectionsFilter", "filter_operation": {"type": "StatementGroup", "operator": "and", "statements": [
    {"type": "BinaryStatement", "left_operand": {"type": "DynamicOperand", "operand_name": "_", "operations": [
        {"type": "ExtractDetectionProperty", "property_name": "x_min"}]},
     "comparator": {"type": "(Number) >"}, "right_operand": {"type": "StaticOperand", "value": 50}}]}}  # fmt: skip
_LINES = [[1, 2], [2, 3]]


def _keypoints(name: str, found: Any = _PEOPLE, *, exact: bool = True, **fields: Any) -> Case:
    drawn = step("keypoint_visualization@v1", image=IMAGE, predictions=FOUND, **fields)
    return case(name, drawn, out="$steps.s.image", exact=exact, image=BLOCKS, found=found)


def _icon(name: str, icon: str = "ramp 20x16", found: Any = THREE, **fields: Any) -> Case:
    drawn = step("icon_visualization@v1", image=IMAGE, icon="$inputs.icon", **fields)
    return case(name, drawn, out="$steps.s.image", image=BLOCKS, icon={"$picture": icon}, found=found)


def _case(name: str, type_: str, found: Any, **fields: Any) -> Case:
    exact = not type_.startswith(_OTHER_PIXELS)
    return case(name, step(type_, image=IMAGE, predictions=FOUND, **fields), out="$steps.s.image", exact=exact, image=BLOCKS,
                found=found)  # fmt: skip


def _cases(types: dict[str, dict[str, Any]], found: Any) -> tuple[Case, ...]:
    return tuple(
        made
        for type_, fields in types.items()
        for made in (
            _case(f"{type_} as it comes", type_, found),
            _case(f"{type_} with options", type_, found, **fields),
        )
    )


CASES = (
    *_cases(_ON_BOXES, THREE),
    *(_case(f"{type_} of nothing", type_, NONE) for type_ in _ON_BOXES),
    *_cases(_ON_MASKS, MASKS),
    _case("boxes in colours of one's own", "bounding_box_visualization@v1", THREE, **_COLOURS),
    _case("boxes on the image itself", "bounding_box_visualization@v1", THREE, copy_image=False),
    _keypoints("skeletons of people"),
    _keypoints("skeletons in a colour of one's own", thickness=4, color="green"),
    _keypoints("skeletons of other things", _TOOLS, edges=_LINES),
    _keypoints("points of keypoints", annotator_type="vertex", radius=4, color="#00ff00"),
    _keypoints("numbers of keypoints", annotator_type="vertex_label", radius=0, text_scale=0.3, exact=False),
    case("keypoints of a part", step("detections_filter@v1", predictions=FOUND, operations=[_LARGEST]), found=_PEOPLE),
    case(
        "keypoints of crops",
        step("dynamic_crop@v1", images=IMAGE, predictions=FOUND),
        out="$steps.s.predictions",
        own=True,
        image=BLOCKS,
        found=_PEOPLE,
    ),
    _icon("an icon at every detection", predictions=FOUND),
    _icon("an icon that is transparent", "glass 40x40", predictions=FOUND, icon_width=30, icon_height=20, position="CENTER"),
    _icon("an icon beyond the edge", predictions=FOUND, icon_width=90, icon_height=90, position="BOTTOM_RIGHT"),
    _icon("an icon of nothing", found=NONE, predictions=FOUND),
    _icon("a watermark", mode="static", icon_width=24, icon_height=24),
    _icon("a watermark from the far edges", mode="static", x_position=-5, y_position=-8, icon_width=30, icon_height=20),
)
