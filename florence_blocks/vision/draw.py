"""What drawing blocks have in common: one annotator of supervision on a copy of the image, in the colours asked for.

The blocks themselves are rows in `drawings`. Grey images come back in colour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model

from florence_blocks.vision.detection import fitting
from florence_blocks.vision.fields import IMAGE_OUTPUT, VersionedManifest, either
from workflow_engine.block import Block, DetectionsReference, ImageReference, Value, type_literal
from workflow_engine.bounds import Bounded
from workflow_engine.data import Image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")


_CHANNELS = re.compile(r"(?:rgb)?\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)")

_Colours = Annotated[int, Field(ge=1), Bounded(1_024, "no palette has as many colours")]


class DrawManifest(VersionedManifest):
    """What every drawing takes."""

    image: ImageReference = either("image", "images")
    predictions: DetectionsReference
    copy_image: Value[bool] = Field(True, description="accepted for other runtimes; drawing always happens on a copy")


class ColouredManifest(DrawManifest):
    """What every drawing takes that gives detections colours."""

    color_palette: Value[str] = Field("DEFAULT", description="DEFAULT, ROBOFLOW, LEGACY, CUSTOM, or a matplotlib palette")
    palette_size: Value[_Colours] = Field(10, description="colours of a matplotlib palette")
    custom_colors: Value[list[str]] = Field(default_factory=list, description='"#rrggbb", for the palette CUSTOM')
    color_axis: Value[Literal["INDEX", "CLASS", "TRACK"]] = Field("CLASS", description="what gets a colour of its own")


@dataclass(frozen=True)
class Drawing:
    """One annotator as a block.

    Attributes:
        name: the block's name.
        summary: what it draws.
        fields: its own fields, as `create_model` takes them.
        annotator: makes the annotator of the fields, and of `color` and `lookup` where it is coloured.
        labels: the texts it writes, of the detections and the fields; None where it writes none.
        coloured: whether detections get colours.
        prepared: the detections as the annotator needs them, of the detections, the image's size and the fields.
        stateful: whether the annotator remembers earlier frames.
        around: whether it changes what is no detection, and so an image without any.
        versions: its names in other runtimes, with what they have for defaults; None for the same name and defaults.
    """

    name: str
    summary: str
    fields: Mapping[str, Any]
    annotator: Callable[..., Any]
    labels: Callable[..., list[str]] | None = None
    coloured: bool = True
    prepared: Callable[..., sv.Detections] | None = None
    stateful: bool = False
    around: bool = False
    versions: Mapping[str, Mapping[str, Any]] | None = None


def colour(name: str) -> sv.Color:
    """A colour by its name, "#rrggbb" or "(r, g, b)".

    Raises:
        ValueError: there is no such colour.
    """
    channels = _CHANNELS.fullmatch(name.strip())
    found: Any
    try:
        if channels:
            found = sv.Color(*(int(channel) for channel in channels.groups()))
        else:
            found = sv.Color.from_hex(name) if name.startswith("#") else getattr(sv.Color, name.upper(), None)
    except ValueError:
        found = None
    if not isinstance(found, sv.Color):
        raise ValueError(f'{name!r} is no colour; "#rrggbb" or a name such as "white" would fit')
    return found


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


class DrawBlock(Block):
    """A block that draws detections on their image."""

    drawing: ClassVar[Drawing]
    outputs = IMAGE_OUTPUT

    def __init__(self) -> None:
        self._last: tuple[dict[str, Any], Any] | None = None

    def run(self, image: Image, predictions: sv.Detections, **fields: Any) -> Image:
        """The image of one element with its detections drawn on it."""
        del fields["copy_image"]
        annotator = self._annotator(fields)
        canvas = image.bgr.copy()
        if len(predictions) == 0 and not self.drawing.around:
            return image.derive(canvas)
        drawn = fitting(predictions, image.size)
        if self.drawing.coloured:
            drawn = _colourable(drawn, fields["color_axis"])
        if self.drawing.prepared:
            drawn = self.drawing.prepared(drawn, image.size, **fields)
        texts = {"labels": self.drawing.labels(predictions, **fields)} if self.drawing.labels else {}
        return image.derive(annotator.annotate(canvas, drawn, **texts))

    def _annotator(self, fields: dict[str, Any]) -> Any:
        """The annotator of these fields; the last one is kept, as the fields of a step rarely change."""
        kept = self._last
        if kept is None or kept[0] != fields:
            own = {name: value for name, value in fields.items() if name in self.drawing.fields}
            if self.drawing.coloured:
                own["color"] = palette(fields["color_palette"], fields["palette_size"], fields["custom_colors"])
                own["lookup"] = getattr(sv.ColorLookup, fields["color_axis"])
            kept = self._last = (fields, self.drawing.annotator(**own))
        return kept[1]


def _colourable(found: sv.Detections, axis: str) -> sv.Detections:
    """Detections that the axis can colour: without classes, all are of one class."""
    if axis == "TRACK" and found.tracker_id is None:
        raise ValueError('color_axis="TRACK" needs tracked detections; CLASS or INDEX would fit')
    if axis != "CLASS" or found.class_id is not None:
        return found
    plain = copy(found)
    plain.class_id = np.zeros(len(found), int)
    return plain


def block_of(drawing: Drawing, module: str) -> type[DrawBlock]:
    """A drawing as a block of a module."""
    title = "".join(part.capitalize() for part in drawing.name.split("_"))
    attributes = {
        "__doc__": _documentation(drawing),
        "__module__": module,
        "drawing": drawing,
        "Manifest": _manifest(drawing, title, module),
        "stateful": drawing.stateful,
        "parallel": not drawing.stateful,
    }
    block: type[DrawBlock] = type(title, (DrawBlock,), attributes)
    block.Manifest.__qualname__ = f"{title}.Manifest"
    return block


def _documentation(drawing: Drawing) -> str:
    """The docstring of a drawing, with an example."""
    return (
        f'{drawing.summary}\n\n`{{"type": "vision/{drawing.name}@v1", "name": "drawn", "image": "$inputs.image",\n'
        '"predictions": "$steps.detect.predictions"}`'
    )


def _manifest(drawing: Drawing, title: str, module: str) -> type[DrawManifest]:
    versions = {f"roboflow_core/{drawing.name}@v1": {}} if drawing.versions is None else drawing.versions
    names = (f"vision/{drawing.name}@v1", *versions, title)
    base = ColouredManifest if drawing.coloured else DrawManifest
    versioned = type(f"{title}Versions", (base,), {"__module__": __name__, "defaults_of": versions})
    return create_model(
        f"{title}Manifest",
        __base__=versioned,
        __doc__="The fields of the step.",
        __module__=module,
        type=(type_literal(*names), ...),
        **drawing.fields,
    )
