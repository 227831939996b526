"""Pictures of detections, with the defaults of the other runtime and with options."""

from __future__ import annotations

from typing import Any

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
"""Overlapping labels move apart here; polygons and halos have other annotators there; supervision's ellipses changed."""
_COLOURS = {"color_palette": "CUSTOM", "custom_colors": ["#ff0000", "#00ff00", "#0000ff"], "color_axis": "INDEX"}


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
)
