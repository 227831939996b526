"""Pictures of detections: one row per annotator, one block per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from florence_blocks.vision.detection import select
from florence_blocks.vision.draw import DrawBlock, Drawing, block_of, colour
from florence_blocks.vision.fields import Kernel, LetterScale, Positions, Positive, Share, Thickness
from florence_blocks.vision.label_places import spread
from florence_blocks.vision.labels import Labels, label_texts, legible
from florence_blocks.vision.plain_labels import PlainLabels
from florence_blocks.vision.skeletons import Skeletons
from workflow_engine.block import Value
from workflow_engine.bounds import Bounded
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from matplotlib import font_manager
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")
    font_manager = LazyModule("matplotlib.font_manager")

_FULL_HD = 1080
_LEGIBLE_SCALES, _LEGIBLE_SIZES = (0.3, 5.0), (8, 128)


def _scaled(size: float, mode: str, scene: Any, legible: tuple[float, float]) -> float:
    """A size of letters, as it is or as the image asks: as given where its shorter side has 1080 pixels."""
    least, most = legible
    return size if mode == "Manual" else min(max(size * min(scene.shape[:2]) / _FULL_HD, least), most)


def _label_fields(color: Any, lookup: Any, text_position: str, text_color: str, text: str, **fields: Any) -> dict[str, Any]:
    """What supervision's annotators of labels take; `text` says what they are given, which is none of their business."""
    return {"color": color, "color_lookup": lookup, "text_position": getattr(sv.Position, text_position),
            "text_color": colour(text_color), "smart_position": True, **fields}  # fmt: skip


def _apart(annotator: Any) -> Any:
    """An annotator of labels that finds free places for them in linear time."""

    def adjusted(resolution_wh: tuple[int, int], labels: list[str], label_properties: Any) -> Any:
        label_properties[:, :4] = spread(label_properties[:, :4], resolution_wh)
        return label_properties

    annotator._adjust_labels_in_frame = adjusted
    return annotator


class _Labels:
    """Labels in the plain letters of OpenCV."""

    def __init__(
        self, color: Any, lookup: Any, text: str, text_color: str, text_size_mode: str, text_scale: float, **fields: Any
    ) -> None:
        self._mode, self._scale = text_size_mode, text_scale
        self._fields = {"colors": color, "lookup": lookup, "text_color": colour(text_color), **fields}

    def annotate(self, scene: Any, found: sv.Detections, labels: list[str]) -> Any:
        """The scene with a label beside every detection."""
        scale = _scaled(self._scale, self._mode, scene, _LEGIBLE_SCALES)
        found, labels = legible(found, labels)
        return PlainLabels(text_scale=scale, **self._fields).annotate(scene, found, labels)


class _RichLabels:
    """Labels in the letters of a font."""

    def __init__(self, font_family: str, text_size_mode: str, font_size: int, **fields: Any) -> None:
        self._mode, self._size, self._fields = text_size_mode, font_size, _label_fields(**fields)
        self._font = _font(font_family)

    def annotate(self, scene: Any, found: sv.Detections, labels: list[str]) -> Any:
        """The scene with a label beside every detection."""
        size = round(_scaled(self._size, self._mode, scene, _LEGIBLE_SIZES))
        found, labels = legible(found, labels)
        rich = sv.RichLabelAnnotator(font_path=self._font, font_size=size, **self._fields)
        return _apart(rich).annotate(scene, found, labels=labels)


_FONTS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("anonymous pro", "courier prime", "fira code", "geist mono", "ibm plex mono", "inconsolata",
                     "jetbrains mono", "pt mono", "roboto mono", "source code pro", "space mono"), "DejaVu Sans Mono"),
    **dict.fromkeys(("geist", "inter", "lato", "montserrat", "noto sans", "nunito sans", "open sans", "roboto", "work sans"),
                    "DejaVu Sans"),
}  # fmt: skip
"""The fonts that another runtime brings, each with one that is always here."""


def _font(family: str) -> str:
    """The file of a font.

    Raises:
        ValueError: it is not installed.
    """
    spelt = family.replace("_", " ")
    for name in (family, spelt, _FONTS_ELSEWHERE.get(spelt.lower())):
        try:
            if name:
                return str(font_manager.findfont(name, fallback_to_default=False))
        except ValueError:
            continue
    raise ValueError(f"font_family={family!r} is not installed; one such as `DejaVu Sans` would fit")


def _box_annotator(color: Any, lookup: Any, thickness: int, roundness: float) -> Any:
    if roundness > 0:
        return sv.RoundBoxAnnotator(color=color, color_lookup=lookup, thickness=thickness, roundness=roundness)
    return sv.BoxAnnotator(color=color, color_lookup=lookup, thickness=thickness)


class _Quads:
    """Quads with their texts; supervision has no annotator for four free corners."""

    def __init__(self, color: Any, lookup: Any, thickness: int, text_scale: float) -> None:
        self._color, self._lookup, self._thickness, self._scale = color, lookup, thickness, text_scale

    def annotate(self, scene: Any, found: sv.Detections, labels: list[str]) -> Any:
        """The scene with the outline of every quad, its text above its first corner."""
        quads = found.data.get("quads")
        if quads is None:
            raise ValueError("these detections have no quads; those of florence/ocr_with_regions@v1 would fit")
        for index, (quad, label) in enumerate(zip(np.rint(quads).astype(np.int32), labels, strict=True)):
            ink = self._color.by_idx(self._key(found, index)).as_bgr()
            cv2.polylines(scene, [quad], isClosed=True, color=ink, thickness=self._thickness, lineType=cv2.LINE_AA)
            start = (int(quad[0, 0]), max(int(quad[0, 1]) - 4, 10))
            cv2.putText(scene, label, start, cv2.FONT_HERSHEY_SIMPLEX, self._scale, ink, 1, cv2.LINE_AA)
        return scene

    def _key(self, found: sv.Detections, index: int) -> int:
        keys = {sv.ColorLookup.CLASS: found.class_id, sv.ColorLookup.TRACK: found.tracker_id}.get(self._lookup)
        return index if keys is None else int(keys[index])


class _Heat:
    """A heatmap of one image: supervision's annotator adds up what it sees, so each image gets one of its own."""

    def __init__(self, position: str, **fields: Any) -> None:
        self._fields = {"position": getattr(sv.Position, position), **fields}

    def annotate(self, scene: Any, found: sv.Detections) -> Any:
        """The scene under the heat of its detections."""
        return sv.HeatMapAnnotator(**self._fields).annotate(scene, found)


def _padded(found: sv.Detections, size: tuple[int, int], padding: int, **_: Any) -> sv.Detections:
    """Boxes with more room around them, within the image."""
    edges = found.xyxy + np.array([-padding, -padding, padding, padding])
    return sv.Detections(xyxy=edges.clip(0, np.array([*size, *size])))


def _inside(found: sv.Detections, size: tuple[int, int], **_: Any) -> sv.Detections:
    """The boxes that have a pixel within the image, cut to it."""
    edges = found.xyxy.clip(0, np.array([*size, *size]))
    return sv.Detections(xyxy=edges[(edges[:, 2] - edges[:, 0] >= 1) & (edges[:, 3] - edges[:, 1] >= 1)])


def _anchored(annotator: Any, color: Any, lookup: Any, position: str, **own: Any) -> Any:
    """An annotator of supervision that marks one point of every detection."""
    return annotator(color=color, color_lookup=lookup, position=getattr(sv.Position, position), **own)


def _tracked(found: sv.Detections, size: tuple[int, int], **_: Any) -> sv.Detections:
    """Detections as they are, if they are tracks."""
    if found.tracker_id is None:
        raise ValueError("these detections are not tracked; `tracked_detections` of vision/byte_tracker@v1 would fit")
    return found


def _scored(found: sv.Detections, size: tuple[int, int], **_: Any) -> sv.Detections:
    """Detections whose confidences are known, if they have any."""
    if found.confidence is None:
        raise ValueError("these detections have no confidences; those of florence/object_detection@v1 would fit")
    unknown = np.isnan(found.confidence)
    return select(found, np.flatnonzero(~unknown).tolist()) if unknown.any() else found


def _bars(color: Any, lookup: Any, position: str, border_color: str, **own: Any) -> Any:
    return sv.PercentageBarAnnotator(color=color, color_lookup=lookup, border_color=colour(border_color),
                                     position=getattr(sv.Position, position), **own)  # fmt: skip


_Thickness: TypeAlias = Value[Thickness]
_Length: TypeAlias = Value[Annotated[int, Field(ge=0), Bounded(10_000, "it is larger than the picture")]]
_Angle: TypeAlias = Value[Annotated[int, Bounded(3_600, "that is more than ten turns", least=-3_600)]]
_Pixels: TypeAlias = Value[Annotated[int, Field(gt=0), Bounded(10_000, "it is larger than the picture")]]
_Kernel: TypeAlias = Value[Kernel]
_Hue: TypeAlias = Value[Annotated[int, Field(ge=0), Bounded(180, "OpenCV has no more hues")]]
_Enlarged: TypeAlias = Value[Annotated[float, Field(gt=0), Bounded(10.0, "what is enlarged more takes gigabytes")]]
_Scale: TypeAlias = Value[LetterScale]
_Share: TypeAlias = Value[Share]
_Captions: TypeAlias = Value[Labels]
_LineLength: TypeAlias = Value[Positive | None]
_Position: TypeAlias = Value[Positions]
_Text: TypeAlias = Value[str]
_SizeMode: TypeAlias = Value[Literal["Manual", "Automatic"]]
_Edges: TypeAlias = Value[list[tuple[Positive, Positive]] | None]
_Keypoints: TypeAlias = Value[Literal["edge", "vertex", "vertex_label"]]
_LABELS_ELSEWHERE = {"text_scale": 1.0, "text_padding": 10}

DRAWINGS = (
    Drawing(
        "bounding_box_visualization", "Draw a box around every detection.",
        {"thickness": (_Thickness, 2), "roundness": (_Share, 0.0)},
        _box_annotator,
    ),
    Drawing(
        "label_visualization", "Write a label beside every detection.",
        {
            "text": (_Captions, Field("Class", description="what to write")),
            "text_position": (_Position, "TOP_LEFT"),
            "text_color": (_Text, "WHITE"),
            "text_size_mode": (_SizeMode, Field("Manual", description="whether letters grow with the image")),
            "text_scale": (_Scale, 0.5),
            "text_thickness": (_Thickness, 1),
            "text_padding": (_Length, 4),
            "border_radius": (_Length, 0),
        },
        _Labels, labels=lambda found, text, **_: label_texts(found, text),
        versions={f"roboflow_core/label_visualization@v{version}": _LABELS_ELSEWHERE for version in (1, 2)},
    ),
    Drawing(
        "rich_label_visualization", "Write a label beside every detection in a font, with accents and other scripts.",
        {
            "text": (_Captions, Field("Class", description="what to write")),
            "text_position": (_Position, "TOP_LEFT"),
            "text_color": (_Text, "WHITE"),
            "font_family": (_Text, Field("DejaVu Sans", description="a font of this machine")),
            "text_size_mode": (_SizeMode, Field("Manual", description="whether letters grow with the image")),
            "font_size": (_Pixels, 14),
            "text_padding": (_Length, 10),
            "border_radius": (_Length, 0),
            "max_line_length": (_LineLength, Field(None, description="letters in a line, then comes the next")),
        },
        _RichLabels, labels=lambda found, text, **_: label_texts(found, text),
    ),
    Drawing(
        "mask_visualization", "Tint the mask of every detection.",
        {"opacity": (_Share, 0.5)},
        lambda color, lookup, opacity: sv.MaskAnnotator(color=color, color_lookup=lookup, opacity=opacity),
    ),
    Drawing(
        "polygon_visualization", "Draw the outline of the mask of every detection.",
        {"thickness": (_Thickness, 2)},
        lambda color, lookup, thickness: sv.PolygonAnnotator(color=color, color_lookup=lookup, thickness=thickness),
        versions={f"roboflow_core/polygon_visualization@v{version}": {} for version in (1, 2)},
    ),
    Drawing(
        "quad_visualization", "Draw the four corners of every text and write what it says.",
        {"thickness": (_Thickness, 2), "text_scale": (_Scale, 0.5)},
        _Quads, labels=lambda found, **_: label_texts(found, "Text"), versions={},
    ),
    Drawing(
        "halo_visualization", "Let the mask of every detection glow.",
        {"opacity": (_Share, 0.8), "kernel_size": (_Kernel, 40)},
        lambda color, lookup, **own: sv.HaloAnnotator(color=color, color_lookup=lookup, **own),
        versions={f"roboflow_core/halo_visualization@v{version}": {} for version in (1, 2)},
    ),
    Drawing(
        "color_visualization", "Tint the box of every detection.",
        {"opacity": (_Share, 0.5)},
        lambda color, lookup, opacity: sv.ColorAnnotator(color=color, color_lookup=lookup, opacity=opacity),
    ),
    Drawing(
        "corner_visualization", "Draw the corners of the box of every detection.",
        {"thickness": (_Thickness, 4), "corner_length": (_Pixels, 15)},
        lambda color, lookup, **own: sv.BoxCornerAnnotator(color=color, color_lookup=lookup, **own),
    ),
    Drawing(
        "circle_visualization", "Draw a circle around every detection.",
        {"thickness": (_Thickness, 2)},
        lambda color, lookup, thickness: sv.CircleAnnotator(color=color, color_lookup=lookup, thickness=thickness),
    ),
    Drawing(
        "ellipse_visualization", "Draw an ellipse under every detection.",
        {"thickness": (_Thickness, 2), "start_angle": (_Angle, -45), "end_angle": (_Angle, 235)},
        lambda color, lookup, **own: sv.EllipseAnnotator(color=color, color_lookup=lookup, **own),
    ),
    Drawing(
        "dot_visualization", "Mark every detection with a dot.",
        {"position": (_Position, "CENTER"), "radius": (_Pixels, 4), "outline_thickness": (_Length, 0)},
        lambda **own: _anchored(sv.DotAnnotator, **own),
    ),
    Drawing(
        "triangle_visualization", "Mark every detection with a triangle.",
        {
            "position": (_Position, "TOP_CENTER"), "base": (_Pixels, 10), "height": (_Pixels, 10),
            "outline_thickness": (_Length, 0),
        },
        lambda **own: _anchored(sv.TriangleAnnotator, **own),
    ),
    Drawing(
        "trace_visualization", "Draw the way that every track has come.",
        {"position": (_Position, "CENTER"), "trace_length": (_Pixels, 30), "thickness": (_Thickness, 1)},
        lambda **own: _anchored(sv.TraceAnnotator, **own), prepared=_tracked, stateful=True,
    ),
    Drawing(
        "crop_visualization", "Show every detection enlarged beside itself.",
        {"position": (_Position, "TOP_CENTER"), "scale_factor": (_Enlarged, 2.0), "border_thickness": (_Thickness, 2)},
        lambda color, lookup, position, **own: sv.CropAnnotator(
            border_color=color, border_color_lookup=lookup, position=getattr(sv.Position, position), **own
        ),
    ),
    Drawing(
        "percentage_bar_visualization", "Show how sure every detection is as a bar beside it.",
        {
            "position": (_Position, "TOP_CENTER"), "width": (_Pixels, 80), "height": (_Pixels, 16),
            "border_color": (_Text, "BLACK"), "border_thickness": (_Thickness, 1),
        },
        _bars, prepared=_scored, versions={},
    ),
    Drawing(
        "keypoint_visualization", "Draw the keypoints of every detection: points, their numbers or the lines of a skeleton.",
        {
            "annotator_type": (_Keypoints, "edge"),
            "color": (_Text, "#A351FB"),
            "thickness": (_Thickness, Field(2, description="of lines")),
            "radius": (_Length, Field(10, description="of points, or of the corners of numbers")),
            "text_color": (_Text, "BLACK"),
            "text_scale": (_Scale, 0.5),
            "text_thickness": (_Thickness, 1),
            "text_padding": (_Length, 10),
            "edges": (_Edges, Field(
                None, description="the lines as pairs of keypoints, counted from 1; without, those of a known skeleton"
            )),
        },
        Skeletons, coloured=False,
    ),
    Drawing(
        "background_color_visualization", "Cover everything but the detections.",
        {"color": (_Text, "BLACK"), "opacity": (_Share, 0.5)},
        lambda color, opacity: sv.BackgroundOverlayAnnotator(color=colour(color), opacity=opacity),
        coloured=False, around=True,
    ),
    Drawing(
        "blur_visualization", "Blur every detection: faces, plates, names.",
        {"kernel_size": (_Kernel, 15), "padding": (_Length, 0)},
        lambda kernel_size, padding: sv.BlurAnnotator(kernel_size), coloured=False, prepared=_padded,
    ),
    Drawing(
        "pixelate_visualization", "Pixelate every detection: faces, plates, names.",
        {"pixel_size": (_Pixels, 20)},
        lambda pixel_size: sv.PixelateAnnotator(pixel_size), coloured=False, prepared=_inside,
    ),
    Drawing(
        "heatmap_visualization", "Show where the detections of an image are dense.",
        {
            "position": (_Position, "BOTTOM_CENTER"), "opacity": (_Share, 0.2), "radius": (_Pixels, 40),
            "kernel_size": (_Kernel, 25), "top_hue": (_Hue, 0), "low_hue": (_Hue, 125),
        },
        _Heat, coloured=False,
    ),
)  # fmt: skip

BLOCKS: tuple[type[DrawBlock], ...] = tuple(block_of(drawing, __name__) for drawing in DRAWINGS)
"""Every drawing as a block."""

globals().update({block.__name__: block for block in BLOCKS})  # where copies of them look for them
