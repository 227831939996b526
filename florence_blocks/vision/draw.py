"""Pictures of detections: one row per annotator of supervision, one block per row.

Drawing happens on a copy; grey images come back in colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, create_model

from florence_blocks.vision.fields import IMAGE_OUTPUT, Share, either
from workflow_engine.block import Block, BlockManifest, DetectionsReference, ImageReference, Value, type_literal
from workflow_engine.data import Image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Palette = Literal["DEFAULT", "ROBOFLOW", "LEGACY", "CUSTOM"]
Positions = Literal["CENTER", "CENTER_LEFT", "CENTER_RIGHT", "TOP_CENTER", "TOP_LEFT", "TOP_RIGHT", "BOTTOM_LEFT",
                    "BOTTOM_CENTER", "BOTTOM_RIGHT", "CENTER_OF_MASS"]  # fmt: skip
Labels = Literal["Class", "Confidence", "Class and Confidence", "Index", "Dimensions", "Area", "Tracker Id", "Text"]


class DrawManifest(BlockManifest):
    """What every drawing takes."""

    image: ImageReference = either("image", "images")
    predictions: DetectionsReference
    color_palette: Value[str] = Field("DEFAULT", description="DEFAULT, ROBOFLOW, LEGACY, CUSTOM, or a matplotlib palette")
    palette_size: Value[Annotated[int, Field(ge=1)]] = Field(10, description="colours of a matplotlib palette")
    custom_colors: Value[list[str]] = Field(default_factory=list, description='"#rrggbb", for the palette CUSTOM')
    color_axis: Value[Literal["INDEX", "CLASS", "TRACK"]] = Field("CLASS", description="what gets a colour of its own")
    copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")


@dataclass(frozen=True)
class Drawing:
    """One annotator as a block.

    Attributes:
        name: the block's name.
        summary: what it draws.
        fields: its own fields, as `create_model` takes them.
        annotator: makes the annotator of the fields and the colours.
        labels: the texts it writes, of the detections and the fields; None where it writes none.
    """

    name: str
    summary: str
    fields: Mapping[str, Any]
    annotator: Callable[..., Any]
    labels: Callable[..., list[str]] | None = None


def palette(name: str, size: int, custom: list[str]) -> sv.ColorPalette:
    """The colours of a palette.

    Raises:
        ValueError: there is no such palette.
    """
    if name == "CUSTOM":
        if not custom:
            raise ValueError('color_palette="CUSTOM" needs custom_colors, a list of "#rrggbb"')
        return sv.ColorPalette.from_hex(custom)
    if name in ("DEFAULT", "ROBOFLOW", "LEGACY"):
        return getattr(sv.ColorPalette, name)  # type: ignore[no-any-return]
    try:
        return sv.ColorPalette.from_matplotlib(name.removeprefix("Matplotlib ").lower(), size)
    except (ValueError, ImportError) as error:
        raise ValueError(f"color_palette={name!r}; DEFAULT, ROBOFLOW, LEGACY, CUSTOM or a matplotlib palette fits") from error


def label_texts(found: sv.Detections, text: str) -> list[str]:
    """What is written beside each detection; a confidence that is not there is left out."""
    count = len(found)
    names = [str(name) for name in found.data.get("class_name", [""] * count)]
    scores = [""] * count if found.confidence is None else [f"{score:.2f}" for score in found.confidence]
    sides = (found.xyxy[:, 2:] - found.xyxy[:, :2]).tolist()
    tracks = [""] * count if found.tracker_id is None else [str(track) for track in found.tracker_id]
    return {
        "Class": names,
        "Confidence": scores,
        "Class and Confidence": [f"{name} {score}".strip() for name, score in zip(names, scores, strict=True)],
        "Index": [str(index) for index in range(count)],
        "Dimensions": [f"{width:.0f}x{height:.0f}" for width, height in sides],
        "Area": [f"{width * height:.0f}" for width, height in sides],
        "Tracker Id": tracks,
        "Text": [str(value) for value in found.data.get("text", names)],
    }[text]


def _label_annotator(color: Any, lookup: Any, **fields: Any) -> Any:
    named = fields["text_color"]
    ink = sv.Color.from_hex(named) if named.startswith("#") else getattr(sv.Color, named.upper(), None)
    if ink is None:
        raise ValueError(f'text_color={named!r}; "#rrggbb" or a name such as "white" would fit')
    return sv.LabelAnnotator(
        color=color, color_lookup=lookup, text_color=ink, text_scale=fields["text_scale"], smart_position=True,
        text_thickness=fields["text_thickness"], text_padding=fields["text_padding"],
        text_position=getattr(sv.Position, fields["text_position"]), border_radius=fields["border_radius"],
    )  # fmt: skip


def _box_annotator(color: Any, lookup: Any, thickness: int, roundness: float) -> Any:
    if roundness > 0:
        return sv.RoundBoxAnnotator(color=color, color_lookup=lookup, thickness=thickness, roundness=roundness)
    return sv.BoxAnnotator(color=color, color_lookup=lookup, thickness=thickness)


_Thickness: TypeAlias = Value[Annotated[int, Field(ge=1)]]
_Padding: TypeAlias = Value[Annotated[int, Field(ge=0)]]
_Scale: TypeAlias = Value[Annotated[float, Field(gt=0)]]
_Share: TypeAlias = Value[Share]
_Labels: TypeAlias = Value[Labels]
_Position: TypeAlias = Value[Positions]
_Text: TypeAlias = Value[str]

DRAWINGS = (
    Drawing(
        "bounding_box_visualization", "Draw a box around every detection.",
        {"thickness": (_Thickness, 2), "roundness": (_Share, 0.0)},
        _box_annotator,
    ),
    Drawing(
        "label_visualization", "Write a label beside every detection.",
        {
            "text": (_Labels, Field("Class", description="what to write")),
            "text_position": (_Position, "TOP_LEFT"),
            "text_color": (_Text, "WHITE"),
            "text_scale": (_Scale, 0.5),
            "text_thickness": (_Thickness, 1),
            "text_padding": (_Padding, 4),
            "border_radius": (_Padding, 0),
        },
        _label_annotator, labels=lambda found, text, **_: label_texts(found, text),
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
    ),
)  # fmt: skip


class DrawBlock(Block):
    """A block that draws detections on their image."""

    drawing: Drawing
    outputs = IMAGE_OUTPUT

    def __init__(self) -> None:
        self._last: tuple[dict[str, Any], Any] | None = None

    def run(self, image: Image, predictions: sv.Detections, **fields: Any) -> Image:
        """The image of one element with its detections drawn on it."""
        del fields["copy_image"]
        lookup = getattr(sv.ColorLookup, fields["color_axis"])
        annotator = self._annotator(fields, lookup)
        canvas = image.bgr.copy()
        if len(predictions) == 0:
            return image.derive(canvas)
        drawn = self._colourable(predictions, lookup)
        texts = {"labels": self.drawing.labels(predictions, **fields)} if self.drawing.labels else {}
        return image.derive(annotator.annotate(canvas, drawn, **texts))

    def _annotator(self, fields: dict[str, Any], lookup: Any) -> Any:
        """The annotator of these fields; the last one is kept, as the fields of a step rarely change."""
        kept = self._last
        if kept is None or kept[0] != fields:
            colours = palette(fields["color_palette"], fields["palette_size"], fields["custom_colors"])
            own = {name: value for name, value in fields.items() if name in self.drawing.fields}
            kept = self._last = (fields, self.drawing.annotator(color=colours, lookup=lookup, **own))
        return kept[1]

    def _colourable(self, found: sv.Detections, lookup: Any) -> sv.Detections:
        """Detections that the lookup can colour: without classes, all are of one class."""
        if lookup == sv.ColorLookup.TRACK and found.tracker_id is None:
            raise ValueError('color_axis="TRACK" needs tracked detections; CLASS or INDEX would fit')
        if lookup != sv.ColorLookup.CLASS or found.class_id is not None:
            return found
        return sv.Detections(xyxy=found.xyxy, mask=found.mask, class_id=np.zeros(len(found), int), data=found.data)


def _block(drawing: Drawing) -> type[DrawBlock]:
    title = "".join(part.capitalize() for part in drawing.name.split("_"))
    manifest = create_model(
        f"{title}Manifest",
        __base__=DrawManifest,
        __doc__="The fields of the step.",
        type=(type_literal(f"vision/{drawing.name}@v1", f"roboflow_core/{drawing.name}@v1", title), ...),
        **drawing.fields,
    )
    attributes = {"__doc__": drawing.summary, "__module__": __name__, "drawing": drawing, "Manifest": manifest}
    return type(title, (DrawBlock,), attributes)


BLOCKS: tuple[type[DrawBlock], ...] = tuple(_block(drawing) for drawing in DRAWINGS)
"""Every drawing as a block."""
