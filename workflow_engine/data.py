"""`Image`: the pixels blocks work on, with the way back to the image they were cut from.

Pixels are BGR `uint8` arrays `[height, width, 3]`, as OpenCV has them (`[height, width]` where a block made grey ones).
They are read-only: a block that draws copies first, so that nobody's input changes. Image files are decoded on first
use. numpy, OpenCV and Pillow are imported on first use too, because checking a workflow needs none of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.arrays import Order
from workflow_engine.forks import Lock
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin
from workflow_engine.pictures import ImageError, Picture
from workflow_engine.sources import Reader, frame_of, source_of

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")

_READING: Final = tuple(Lock() for _ in range(16))
"""One of them is held while a file is decoded: an image is decoded once, whoever asks first, and several at a time."""


class Image:
    """An image of a workflow. `Image.load` makes one of whatever a caller has.

    Args:
        pixels: its pixels, or what reads the picture when it is first used. An array is kept as it is, not copied: it belongs
            to the image from then on.
        bgra: the colours as they are without the white behind them, and how opaque, where some are transparent.

    Attributes:
        name: where it came from, for people (a file name, or empty).
        parent: the image it was cut from, or None for a root image.
        seconds: when it was taken, from the beginning of its video; None for what is no part of a video.
        frame: which frame of its video it is, the first being 1; None likewise.
    """

    __slots__ = ("_bgra", "_digest", "_origin", "_pixels", "_read", "frame", "name", "parent", "seconds")

    def __init__(
        self,
        pixels: Pixels | Reader,
        *,
        bgra: Pixels | None = None,
        name: str = "",
        parent: Image | None = None,
        origin: Origin | None = None,
        seconds: float | None = None,
        frame: int | None = None,
    ) -> None:
        self.name = name
        self.seconds = seconds
        self.frame = frame
        self.parent = parent
        self._origin = origin
        self._read: Reader | None = None
        self._pixels: Pixels | None = None
        self._digest: bytes | None = None
        self._bgra = None if bgra is None else _read_only(bgra)
        if callable(pixels):
            self._read = pixels
        else:
            self._pixels = _read_only(pixels)

    @property
    def array(self) -> Pixels:
        """The pixels, BGR `uint8` `[height, width, 3]` or grey `[height, width]`, read-only.

        Where the picture is transparent, it is laid on white.

        Raises:
            ImageError: the file or the bytes cannot be decoded.
        """
        if self._pixels is not None:
            return self._pixels
        with _READING[id(self) // 64 % len(_READING)]:
            if self._pixels is None:
                assert self._read is not None
                pixels, bgra = self._read()
                self._bgra = None if bgra is None else _read_only(bgra)
                self._pixels = _read_only(pixels)
                self._read = None
            return self._pixels

    @property
    def bgr(self) -> Pixels:
        """The pixels with three channels, whether they are grey or not; read-only."""
        array = self.array
        return array if array.ndim == 3 else _read_only(_converted(array, cv2.COLOR_GRAY2BGR))

    @property
    def bgra(self) -> Pixels:
        """The colours without the white behind them, and how opaque they are, `[height, width, 4]`, read-only.

        This is what is laid upon other pictures.
        """
        array = self.bgr
        return self._bgra if self._bgra is not None else _read_only(_converted(array, cv2.COLOR_BGR2BGRA))

    @property
    def alpha(self) -> Pixels | None:
        """How opaque every pixel is, `uint8` `[height, width]`, read-only; None where all of them are wholly opaque."""
        _ = self.array
        return None if self._bgra is None else self._bgra[:, :, 3]

    @property
    def digest(self) -> bytes:
        """A digest of size and pixels, computed once: equal for equal images, wherever they came from."""
        if self._digest is None:
            array = self.array
            digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
            digest.update(np.ascontiguousarray(array).data)
            self._digest = digest.digest()
        return self._digest

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.array.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.array.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def origin(self) -> Origin:
        """Where this image lies in its root image."""
        if self._origin is None:
            self._origin = Origin.of_root(self.width, self.height)
        return self._origin

    def crop(self, x1: int, y1: int, x2: int, y2: int) -> Image:
        """The part from (x1, y1) to (x2, y2), cut to this image, as a child that shares the pixels.

        Raises:
            ImageError: nothing of the part lies inside the image.
        """
        array = self.array
        height, width = array.shape[:2]
        left, top, right, bottom = max(0, x1), max(0, y1), min(width, x2), min(height, y2)
        if left >= right or top >= bottom:
            raise ImageError(f"the box ({x1}, {y1}, {x2}, {y2}) holds no pixel of the {width}x{height} image")
        origin = self.origin.part(left, top, right - left, bottom - top)
        bgra = None if self._bgra is None else self._bgra[top:bottom, left:right]
        pixels = array[top:bottom, left:right]
        return Image(pixels, bgra=bgra, name=self.name, parent=self, origin=origin, seconds=self.seconds, frame=self.frame)

    def derive(self, pixels: Pixels) -> Image:
        """New pixels for the same view (drawn on, blurred, resized): coordinates still lead to the same root."""
        height, width = pixels.shape[:2]
        origin = self.origin if (width, height) == self.size else self.origin.resized(width, height)
        return Image(pixels, name=self.name, parent=self.parent, origin=origin, seconds=self.seconds, frame=self.frame)

    @property
    def is_placeless(self) -> bool:
        """Whether nothing says where this image comes from: it is a root, or was made of another image without a word."""
        return self._origin is None and self.parent is None

    def seen_as(self, image: Image) -> Image:
        """This image as another picture of the same view; itself where it knows where it came from or has another size."""
        if self is image or not self.is_placeless or self.size != image.size:
            return self
        return Image(
            self.array,
            bgra=self._bgra,
            name=self.name or image.name,
            parent=image.parent,
            origin=image.origin,
            seconds=image.seconds if self.seconds is None else self.seconds,
            frame=image.frame if self.frame is None else self.frame,
        )

    def project(self, pixels: Pixels, matrix: Any, name: str) -> Image:
        """New pixels in a plane of their own: this image turned, mirrored, or seen from another side.

        Args:
            pixels: what is seen there.
            matrix: 3x3, takes points of this image to points of the new one, in pixels from the upper left corner.
            name: what was done, for messages.
        """
        height, width = pixels.shape[:2]
        origin = self.origin.projected(matrix, width, height, name)
        return Image(pixels, name=self.name, parent=self, origin=origin, seconds=self.seconds, frame=self.frame)

    def png(self) -> bytes:
        """The pixels as a PNG file."""
        return bytes(cv2.imencode(".png", self.array)[1])

    def to_json(self) -> dict[str, Any]:
        """The pixels for a JSON result: `{"type": "base64", "value": <png>}`."""
        return {"type": "base64", "value": base64.b64encode(self.png()).decode("ascii")}

    def __getstate__(self) -> dict[str, Any]:
        """All of it with the pixels, read if they were not: a file may not be there where a copy is made of this."""
        try:
            _ = self.array
        except Exception as error:
            unread = {"_read": partial(_unreadable, error)}
            return {name: getattr(self, name) for name in self.__slots__} | unread
        return {name: getattr(self, name) for name in self.__slots__}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        for name in ("_pixels", "_bgra"):
            if state[name] is not None:
                setattr(self, name, _read_only(state[name]))

    def __repr__(self) -> str:
        size = "not read yet" if self._pixels is None else f"{self.width}x{self.height}"
        return f"Image({self.name!r}, {size})" if self.name else f"Image({size})"

    @classmethod
    def load(cls, value: Any, *, allow_urls: bool = False, order: Order | None = None) -> Image:
        """Make an image of what a caller has. It is taken at once: what happens to the value afterwards changes nothing.

        Args:
            value: an `Image`; a path; base64 text, in either alphabet and with or without line breaks, padding and the head
                of a `data:` URL; an http(s) URL; the bytes of an image file, or a file object; a PIL image of any mode; an
                array of numpy in BGR, `[h, w, 3]`, BGRA, `[h, w, 4]`, or grey, `[h, w]`; a tensor of torch, JAX or TensorFlow
                in RGB, `[3, h, w]` or `[h, w, 3]`, with 4 channels RGBA, with 1 grey; or one of these as `{"type": "base64" |
                "url" | "file" | "numpy_object" | "pil", "value": ...}`, which may have the `"video_metadata":
                {"frame_number": ..., "fps": ...}` of a frame. Numbers are `uint8`, `uint16`, booleans, or other
                whole numbers within 0 and 255; those of tensors may be fractions within 0 and 1.
            allow_urls: whether http(s) addresses may be fetched, when the image is first used.
            order: the order of the channels of an array or tensor, where it is another one.

        Raises:
            ImageError: the value is nothing of these, or its file cannot be read. What cannot be decoded or fetched is told
                when the image is first used.
        """
        if isinstance(value, Image):
            return value
        picture, name = source_of(value, allow_urls=allow_urls, order=order)
        frame, seconds = frame_of(value)
        if isinstance(picture, Picture):
            return cls(picture.pixels, bgra=picture.bgra, name=name, seconds=seconds, frame=frame)
        return cls(picture, name=name, seconds=seconds, frame=frame)

    @classmethod
    def unreadable(cls, error: Exception) -> Image:
        """An image that raises an error when it is used: it stands for what cannot be read."""
        return cls(partial(_unreadable, error))


def _unreadable(error: Exception) -> Picture:
    """Stands for the picture of an image that could not be read."""
    raise error


def _read_only(pixels: Pixels) -> Pixels:
    view: Pixels = pixels.view()
    view.flags.writeable = False
    return view


def _converted(pixels: Pixels, code: int) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
