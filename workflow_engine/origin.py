"""`Origin`: which view of which picture an image is, and the way from one view to another.

A picture that goes into a run is seen in many views: as a crop, a slice, a resized copy, turned, mirrored, or with one of its
planes seen straight. Coordinates mean something only together with their view. Everything here counts in pixels from the upper
left corner of the first pixel; the centre of that pixel is (0.5, 0.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
else:
    np = LazyModule("numpy")


class ViewError(ValueError):
    """There is no way from one view to another: they are of different pictures."""


class Plane(NamedTuple):
    """What a turned, mirrored or rectified image lies in; it is a root of its own, with a way back to what it was made of.

    Attributes:
        name: what was done, for people.
        base: the view it was made of; None where nothing leads back, as from a collage.
        matrix: 3x3, row by row: takes points of the plane to points of `base`.
    """

    name: str
    base: Origin | None = None
    matrix: tuple[float, ...] = ()


class Origin(NamedTuple):
    """Where a view lies in its root image: `root = offset + scale * own`, in pixels.

    Attributes:
        x, y: the offset.
        scale_x, scale_y: pixels of the root to one of the view.
        root_width, root_height: size of the root.
        width, height: size of the view.
        plane: what the root was made of; None where it went into the run as it is.
    """

    x: float = 0.0
    y: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    root_width: int = 0
    root_height: int = 0
    width: int = 0
    height: int = 0
    plane: Plane | None = None

    @classmethod
    def of_root(cls, width: int, height: int, plane: Plane | None = None) -> Origin:
        """A root image of this size."""
        return cls(root_width=width, root_height=height, width=width, height=height, plane=plane)

    @property
    def is_root(self) -> bool:
        """Whether the view is the whole of its root, pixel by pixel."""
        return self[:4] == (0.0, 0.0, 1.0, 1.0) and (self.width, self.height) == (self.root_width, self.root_height)

    @property
    def root(self) -> Origin:
        """The root image as a view of its own."""
        return Origin.of_root(self.root_width, self.root_height, self.plane)

    def part(self, left: int, top: int, width: int, height: int) -> Origin:
        """The view of a part of this one, given in its pixels."""
        x, y = self.x + left * self.scale_x, self.y + top * self.scale_y
        return Origin(x, y, self.scale_x, self.scale_y, self.root_width, self.root_height, width, height, self.plane)

    def resized(self, width: int, height: int) -> Origin:
        """The same view with another number of pixels."""
        scale_x, scale_y = self.scale_x * self.width / width, self.scale_y * self.height / height
        return self._replace(scale_x=scale_x, scale_y=scale_y, width=width, height=height)

    def projected(self, matrix: Any, width: int, height: int, name: str) -> Origin:
        """A plane of this size; `matrix` 3x3 takes points of this view to points of it."""
        back = np.linalg.inv(np.asarray(matrix, float))
        return Origin.of_root(width, height, Plane(name, self, tuple(back.ravel().tolist())))

    def shares_root(self, other: Origin) -> bool:
        """Whether both are views of one root image: of equal size, made in the same way."""
        mine = (self.root_width, self.root_height, self.plane)
        return mine == (other.root_width, other.root_height, other.plane)

    def matrix_to(self, other: Origin) -> Matrix:
        """The 3x3 matrix that takes points of this view to points of another one.

        Raises:
            ViewError: they are views of different pictures.
        """
        mine, my_ground = _to_ground(self)
        theirs, their_ground = _to_ground(other)
        if not my_ground.shares_root(their_ground):
            raise ViewError(f"what lies on {self.told()} has no place on {other.told()}: neither is a view of the other")
        matrix: Matrix = np.linalg.inv(theirs) @ mine
        return matrix

    def told(self) -> str:
        """The view in words, for messages."""
        size = f"{self.width}x{self.height}"
        if self.plane is None and self.is_root:
            return f"an image of {size}"
        if self.plane is None:
            return f"a view ({size}) of an image of {self.root_width}x{self.root_height}"
        return f"an image of {size} ({self.plane.name})"


def _to_ground(origin: Origin) -> tuple[Matrix, Origin]:
    """The way from a view to the picture that all its planes were made of, and that picture."""
    matrix = np.array([[origin.scale_x, 0, origin.x], [0, origin.scale_y, origin.y], [0, 0, 1]], float)
    plane = origin.plane
    if plane is None or plane.base is None:
        return matrix, origin
    further, ground = _to_ground(plane.base)
    return further @ np.array(plane.matrix).reshape(3, 3) @ matrix, ground
