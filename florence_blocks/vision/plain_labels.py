"""Labels in the plain letters of OpenCV, drawn as supervision draws them, in less time.

supervision measures and wraps every label twice and looks its colours up one by one. Labels repeat (there are a few classes),
so that here each text is measured once; where no label has to move, the pixels are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from florence_blocks.vision.label_places import spread
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import supervision as sv
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

_FONT: Final = 0  # cv2.FONT_HERSHEY_SIMPLEX, without importing OpenCV
_SIDES: Final = {
    "TOP_LEFT": (0.0, -1.0), "TOP_RIGHT": (-1.0, -1.0), "TOP_CENTER": (-0.5, -1.0),
    "BOTTOM_LEFT": (0.0, 0.0), "BOTTOM_RIGHT": (-1.0, 0.0), "BOTTOM_CENTER": (-0.5, 0.0),
    "CENTER": (-0.5, -0.5), "CENTER_OF_MASS": (-0.5, -0.5), "CENTER_LEFT": (-1.0, -0.5), "CENTER_RIGHT": (0.0, -0.5),
}  # fmt: skip
"""Where a label begins, from the anchor of its detection, in widths and heights of the label."""


class PlainLabels:
    """Draws labels.

    Args:
        colors: the palette of the backgrounds.
        lookup: what gets a colour of its own: `sv.ColorLookup`.
        text_color: the colour of the letters.
        text_position: the anchor of a detection that its label stands at: the name of a `sv.Position`.
        text_scale: size of the letters; 1.0 is about 21 pixels.
        text_thickness: of their strokes, in pixels.
        text_padding: pixels around the letters.
        border_radius: of the corners, in pixels.
    """

    def __init__(
        self, colors: Any, lookup: Any, text_color: Any, text_position: str, text_scale: float, text_thickness: int,
        text_padding: int, border_radius: int,
    ) -> None:  # fmt: skip
        self._colors, self._lookup, self._ink = colors, lookup, text_color.as_bgr()
        self._position, self._radius = text_position, border_radius
        self._scale, self._thickness, self._padding = text_scale, text_thickness, text_padding

    def annotate(self, scene: Any, found: sv.Detections, labels: list[str]) -> Any:
        """The scene with a label beside every detection; drawn in place."""
        if not labels:
            return scene
        lines = [label.splitlines() or [""] for label in labels]
        sizes = self._measured(lines)
        boxes = spread(self._boxes(found, lines, sizes), (scene.shape[1], scene.shape[0])).astype(int).tolist()
        for box, key, several in zip(boxes, self._keys(found), lines, strict=True):
            background = self._colors.by_idx(key).as_bgr()
            sv.LabelAnnotator.draw_rounded_rectangle(scene, tuple(box), background, self._radius)
            top = box[1] + self._padding
            for line in several:
                height = sizes[line or "Tg"][1]
                if line:
                    start = (box[0] + self._padding, top + height)
                    cv2.putText(scene, line, start, _FONT, self._scale, self._ink, self._thickness, cv2.LINE_AA)
                top += height + self._padding
        return scene

    def _measured(self, lines: list[list[str]]) -> dict[str, tuple[int, int]]:
        """Width and height of every line, in pixels."""
        sizes = {}
        for line in {"Tg", *(line for several in lines for line in several)}:
            width, height = cv2.getTextSize(line, _FONT, self._scale, self._thickness)[0]
            sizes[line] = width, height
        return sizes

    def _boxes(self, found: sv.Detections, lines: list[list[str]], sizes: dict[str, tuple[int, int]]) -> NDArray[np.float32]:
        """The rectangle of every label, `[n, 4]`."""
        anchors = found.get_anchors_coordinates(getattr(sv.Position, self._position)).astype(int)
        sides = np.array([self._side(several, sizes) for several in lines])
        halves = sides // 2
        centred = np.equal(_SIDES[self._position], -0.5)
        begins = np.where(centred, -halves, sides * np.trunc(_SIDES[self._position]).astype(int))
        ends = begins + np.where(centred, 2 * halves, sides)
        return np.hstack([anchors + begins, anchors + ends]).astype(np.float32)

    def _side(self, lines: list[str], sizes: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """Width and height of a label with its padding."""
        width = max(sizes[line][0] if line else 0 for line in lines)
        height = sum(sizes[line or "Tg"][1] for line in lines)
        return width + 2 * self._padding, height + (len(lines) + 1) * self._padding

    def _keys(self, found: sv.Detections) -> list[int]:
        """The place of every detection's colour in the palette."""
        keys = {sv.ColorLookup.CLASS: found.class_id, sv.ColorLookup.TRACK: found.tracker_id}.get(self._lookup)
        return list(range(len(found))) if keys is None else [int(key) for key in keys]
