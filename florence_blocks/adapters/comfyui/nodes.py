"""The nodes: one per Florence block, made from it, and two that cut out and draw what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from florence_blocks.adapters.comfyui import host
from florence_blocks.adapters.comfyui.batches import Batches, as_tensor, mask_rows
from florence_blocks.adapters.comfyui.boxes import boxes_found
from florence_blocks.adapters.comfyui.sockets import Socket, or_nothing, sockets_of, stacked
from florence_blocks.adapters.comfyui.widgets import OwnFields, Widget, ordered, own
from florence_blocks.blocks.typed import FlorenceBlock
from florence_blocks.vision.crop import DynamicCrop
from florence_blocks.vision.drawings import BLOCKS as DRAWINGS
from florence_blocks.vision.labels import label_texts
from workflow_engine.data import Image
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import supervision as sv

    from florence_blocks.runtime import shared
else:
    shared = LazyModule("florence_blocks.runtime.shared")

_NOT_WIDGETS = ("type", "name", "images", "regions")
BOXES = {
    "forceInput": True,
    "tooltip": "for every image a list of boxes in pixels, or one flat list; a box is four numbers as box_format says, or a "
    "bounding box with x, y, width and height",
}
_LABELS = {"forceInput": True, "tooltip": "for every image one text per box"}
_CONFIDENCES = {"forceInput": True, "tooltip": "for every image one number per box"}
BESIDE_BOXES = {"labels": ("LABELS", _LABELS), "confidences": ("CONFIDENCES", _CONFIDENCES)}


class Node:
    """What all nodes declare."""

    FUNCTION = "run"
    CATEGORY = "Florence-2"
    INPUT_IS_LIST = True  # so that all of a list goes to the model at once, and every image meets its own text and boxes
    DESCRIPTION: ClassVar[str]
    RETURN_TYPES: ClassVar[tuple[str, ...]]
    RETURN_NAMES: ClassVar[tuple[str, ...]]
    OUTPUT_IS_LIST: ClassVar[tuple[bool, ...]]
    widgets: ClassVar[Sequence[Widget]]

    def columns(self, batches: Batches, given: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """One checked value per image for every widget of a manifest; what is not given has its default."""
        return {
            widget.name: batches.spread(widget.name, [widget.value(one) for one in given.get(widget.name, [widget.default])])
            for widget in self.widgets
            if widget.name not in OwnFields.model_fields
        }

    def chosen(self, name: str, given: Mapping[str, Sequence[Any]]) -> Any:
        """The checked value of a widget that holds for the whole call.

        Raises:
            ValueError: it does not fit, or there are several.
        """
        (widget,) = own(name)
        values = {widget.value(one) for one in given.get(name, [widget.default])}
        if len(values) != 1:
            raise ValueError(f"{name} has {len(values)} values in one call; one would fit")
        return values.pop()


class FlorenceNode(Node):
    """A node that asks Florence-2 one task about every image."""

    florence: ClassVar[type[FlorenceBlock]]
    sockets: ClassVar[tuple[Socket, ...]]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """The sockets and widgets: what the task needs, and what has a default."""
        regions = "regions" in cls.florence.Manifest.model_fields
        required: dict[str, Any] = {"images": ("IMAGE",)}
        optional: dict[str, Any] = dict(BESIDE_BOXES) if regions else {}
        if regions:
            required["bboxes"] = ("BBOX", BOXES)
        for widget in cls.widgets:
            (required if widget.info.is_required() else optional)[widget.name] = widget.declared()
        return {"required": required, "optional": optional}

    def run(self, images: Sequence[Any], **given: Sequence[Any]) -> tuple[list[Any], ...]:
        """Ask about all images at once.

        Args:
            images: batches `[images, height, width, 3]` in 0..1.
            **given: what the other sockets and widgets hold, as lists.

        Returns:
            One list per output.

        Raises:
            ValueError: something does not fit; the message says what, where, and what would.
            Exception: of the first element that failed.
        """
        batches = Batches(images)
        columns = {"images": batches.images, **self.columns(batches, given)}
        if "regions" in self.florence.Manifest.model_fields:
            beside = given.get("labels"), given.get("confidences")
            columns["regions"] = boxes_found(batches, given.get("bboxes", ()), *beside, self.chosen("box_format", given))
        place = host.placement(self.chosen("device", given), self.chosen("precision", given))
        with host.watched(), shared.placed(place):
            host.make_room(columns["model_id"])
            try:
                values = [self.florence.named(value) for value in self.florence().run(**columns)]
            finally:
                host.list_models()
        return tuple(
            socket.gathered(batches, [socket.read(value, image) for value, image in zip(values, batches.images, strict=True)])
            for socket in self.sockets
        )


class CropNode(Node):
    """Cut every box out of its image: one image per box, and beside it its label; a box outside of its image gives none."""

    DESCRIPTION = __doc__ or ""
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("crops", "labels")
    OUTPUT_IS_LIST = (True, True)
    widgets = (Widget.of("padding", DynamicCrop.Manifest.model_fields["padding"]), *own("box_format"))

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Images, their boxes, and how much around them."""
        return {
            "required": {"images": ("IMAGE",), "bboxes": ("BBOX", BOXES)},
            "optional": {"labels": BESIDE_BOXES["labels"], **{widget.name: widget.declared() for widget in cls.widgets}},
        }

    def run(self, images: Sequence[Any], bboxes: Sequence[Any], **given: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The crops `[1, height, width, 3]` of all images and their labels.

        Raises:
            ValueError: something does not fit; the message says what, where, and what would.
        """
        batches = Batches(images)
        found = boxes_found(batches, bboxes, given.get("labels"), form=self.chosen("box_format", given))
        rows = list(zip(batches.images, found, self.columns(batches, given)["padding"], strict=True))
        crop = DynamicCrop()
        crops = []
        with host.watched() as run:
            for image, boxes, padding in host.counted(run, rows):
                crops += crop.run(image, boxes, padding, mask_opacity=0.0, background_color=(0, 0, 0))
        labels = [str(one["predictions"].data["class_name"][0]) for one in crops]
        return or_nothing([as_tensor(one["crops"]) for one in crops]), or_nothing(labels)


_PENS = {drawing.drawing.name.removesuffix("_visualization"): drawing for drawing in DRAWINGS}
_BOX, _LABEL, _TINT = _PENS["bounding_box"], _PENS["label"], _PENS["mask"]


class DrawNode(Node):
    """Draw what was found: masks as a tint, boxes, and beside the boxes their labels or confidences."""

    DESCRIPTION = __doc__ or ""
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_IS_LIST = (True,)
    widgets = ordered(
        [
            *(
                Widget.of(name, pen.Manifest.model_fields[name], words)
                for pen, name, words in (
                    (_BOX, "thickness", "how many pixels wide lines are"),
                    (_BOX, "color_palette", "DEFAULT, ROBOFLOW, LEGACY, or a palette of matplotlib such as tab10"),
                    (_LABEL, "text", "what to write beside every box"),
                    (_LABEL, "text_scale", "how large letters are"),
                    (_TINT, "opacity", "how much of the tint of the mask is seen"),
                )
            ),
            *own("box_format"),
        ]
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """Images, their boxes and what belongs to them, and how to draw."""
        mask = ("MASK", {"tooltip": "one mask per image; the empty one of a picture without transparency draws nothing"})
        return {
            "required": {"images": ("IMAGE",), "bboxes": ("BBOX", BOXES)},
            "optional": {**BESIDE_BOXES, "mask": mask, **{widget.name: widget.declared() for widget in cls.widgets}},
        }

    def run(self, images: Sequence[Any], bboxes: Sequence[Any], **given: Sequence[Any]) -> tuple[list[Any]]:
        """The images with their boxes drawn on them, in the batches they came in.

        Raises:
            ValueError: something does not fit; the message says what, where, and what would.
        """
        batches = Batches(images)
        form = self.chosen("box_format", given)
        found = boxes_found(batches, bboxes, given.get("labels"), given.get("confidences"), form)
        masks = mask_rows(batches, given["mask"]) if "mask" in given else None
        columns = self.columns(batches, given)
        drawn = []
        with host.watched() as run:
            for place in host.counted(run, range(len(batches.images))):
                fields = {name: values[place] for name, values in columns.items()}
                tinted = batches.images[place] if masks is None else _drawn(_TINT, batches.images[place], masks[place], fields)
                boxed = _drawn(_BOX, tinted, found[place], fields)
                labelled = any(label_texts(found[place], fields["text"]))
                drawn.append(as_tensor(_drawn(_LABEL, boxed, found[place], fields) if labelled else boxed))
        return (stacked(batches, drawn),)


def _drawn(pen: Any, image: Image, found: sv.Detections, fields: Mapping[str, Any]) -> Image:
    """An image with detections drawn on it; what the node has no widget for is as the drawing has it."""
    own = {name: fields.get(name, info.get_default(call_default_factory=True))
           for name, info in pen.Manifest.model_fields.items() if not info.is_required()}  # fmt: skip
    return pen().run(image=image, predictions=found, **own)  # type: ignore[no-any-return]


def node_of(block: type[FlorenceBlock]) -> type[FlorenceNode]:
    """A Florence block as a node."""
    sockets = sockets_of(block)
    fields = block.Manifest.model_fields.items()
    others = ("box_format", "device", "precision") if "regions" in block.Manifest.model_fields else ("device", "precision")
    summary = (block.__doc__ or "").partition("\n\n")[0]
    return type(block.__name__.removesuffix("Block"), (FlorenceNode,), {
        "__doc__": block.__doc__, "__module__": __name__, "florence": block, "sockets": sockets, "DESCRIPTION": summary,
        "widgets": ordered([*(Widget.of(name, info) for name, info in fields if name not in _NOT_WIDGETS), *own(*others)]),
        "RETURN_TYPES": tuple(socket.type for socket in sockets), "RETURN_NAMES": tuple(socket.name for socket in sockets),
        "OUTPUT_IS_LIST": (True,) * len(sockets), "OUTPUT_TOOLTIPS": tuple(socket.told for socket in sockets),
    })  # fmt: skip
