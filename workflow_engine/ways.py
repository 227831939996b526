"""What becomes of points, boxes and masks on the way from one view to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")


class Projection:
    """Through any 3x3 matrix."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = np.asarray(matrix, float)

    def points(self, points: Any) -> Any:
        """Points `[..., 2]`."""
        flat = np.asarray(points, float).reshape(-1, 2) @ self._matrix[:, :2].T + self._matrix[:, 2]
        return (flat[:, :2] / flat[:, 2:]).reshape(np.shape(points))

    def boxes(self, xyxy: Any) -> Any:
        """Boxes `[n, 4]`: those around where their corners come to lie."""
        corners = self.points(xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2))
        return np.hstack([corners.min(axis=1), corners.max(axis=1)])

    def masks(self, masks: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Masks `[n, h, w]` in an empty view of `size` (width, height); what is outside of it is lost."""
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from the centre of the first pixel
        between_centres = np.linalg.inv(half) @ self._matrix @ half
        painted = np.zeros((len(masks), size[1], size[0]), dtype=bool)
        for place, mask in enumerate(masks):
            painted[place] = cv2.warpPerspective(mask.astype(np.uint8), between_centres, size, flags=cv2.INTER_NEAREST)
        return painted


class Straight:
    """Scaled and shifted: between views of one root, by far the most common way."""

    def __init__(self, scale_x: float, scale_y: float, x: float, y: float) -> None:
        self._scale = np.array([scale_x, scale_y, scale_x, scale_y], float)
        self._shift = np.array([x, y, x, y], float)

    def points(self, points: Any) -> Any:
        """Points `[..., 2]`."""
        return points * self._scale[:2] + self._shift[:2]

    def boxes(self, xyxy: Any) -> Any:
        """Boxes `[n, 4]`."""
        return xyxy * self._scale + self._shift

    def masks(self, masks: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Masks `[n, h, w]` in an empty view of `size` (width, height); what is outside of it is lost."""
        scale_x, scale_y = self._scale[:2].tolist()
        x, y = self._shift[:2].tolist()
        if (scale_x, scale_y) != (1.0, 1.0):
            return Projection([[scale_x, 0, x], [0, scale_y, y], [0, 0, 1]]).masks(masks, size)
        left, top = round(x), round(y)
        painted = np.zeros((len(masks), size[1], size[0]), dtype=bool)
        target = painted[:, max(top, 0) :, max(left, 0) :]
        seen = masks[:, max(-top, 0) :, max(-left, 0) :][:, : target.shape[1], : target.shape[2]]
        target[:, : seen.shape[1], : seen.shape[2]] = seen
        return painted


def way(origin: Origin, view: Origin) -> Straight | Projection:
    """The way from one view to another.

    Raises:
        ViewError: the two are views of different pictures.
    """
    if not origin.shares_root(view):
        return Projection(origin.matrix_to(view))
    x, y = (origin.x - view.x) / view.scale_x, (origin.y - view.y) / view.scale_y
    return Straight(origin.scale_x / view.scale_x, origin.scale_y / view.scale_y, x, y)
