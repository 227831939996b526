"""`Image`: the pixels blocks work on, with the way back to the image they were cut from.

Pixels are BGR `uint8` arrays `[height, width, 3]`, as OpenCV has them (`[height, width]` where a block made grey ones).
They are read-only: a block that draws copies first, so that nobody's input changes. Files and bytes are decoded on first
use. numpy, OpenCV and Pillow are imported on first use too, because checking a workflow needs none of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_engine.errors import a
from workflow_engine.lazy import LazyModule
from workflow_engine.origin import Origin

if TYPE_CHECKING:
    import urllib.request as urllib_request

    import cv2
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as PilImage
    from PIL import ImageOps

    Pixels = NDArray[np.uint8]
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    PilImage = LazyModule("PIL.Image")
    ImageOps = LazyModule("PIL.ImageOps")
    urllib_request = LazyModule("urllib.request")

_URL_TIMEOUT_SECONDS = 30
_reading = threading.Lock()
"""Held while a file is decoded: images are decoded once, whoever asks first."""


class ImageError(ValueError):
    """A value cannot be read as an image; the message says what it was and what would fit."""


class Image:
    """An image of a workflow.

    Attributes:
        name: where it came from, for people (a file name, or empty).
        parent: the image it was cut from, or None for a root image.
        seconds: when it was taken, from the beginning of its video; None for what is no part of a video.
        frame: which frame of its video it is, the first being 1; None likewise.
    """

    __slots__ = ("_alpha", "_digest", "_origin", "_pixels", "_read", "frame", "name", "parent", "seconds")

    def __init__(
        self,
        pixels: Pixels | Callable[[], Pixels],
        *,
        alpha: Callable[[], Pixels | None] | None = None,
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
        self._read: Callable[[], Pixels] | None = None
        self._pixels: Pixels | None = None
        self._digest: bytes | None = None
        self._alpha: Callable[[], Pixels | None] | Pixels | None = alpha
        if callable(pixels):
            self._read = pixels
        else:
            self._pixels = _read_only(pixels)

    @property
    def array(self) -> Pixels:
        """The pixels, BGR `uint8` `[height, width, 3]` or grey `[height, width]`, read-only.

        Raises:
            ImageError: the file or the bytes cannot be decoded.
        """
        if self._pixels is not None:
            return self._pixels
        with _reading:
            if self._pixels is None:
                assert self._read is not None
                self._pixels = _read_only(self._read())
                self._read = None
            return self._pixels

    @property
    def bgr(self) -> Pixels:
        """The pixels with three channels, whether they are grey or not; read-only."""
        array = self.array
        return array if array.ndim == 3 else _read_only(_converted(array, cv2.COLOR_GRAY2BGR))

    @property
    def alpha(self) -> Pixels | None:
        """How opaque every pixel is, `uint8` `[height, width]`, read-only; None where the file or array does not say.

        It is read when first asked for, which only pictures that are laid upon others are.
        """
        if callable(self._alpha):
            found = self._alpha()
            self._alpha = None if found is None else _read_only(found)
        return self._alpha

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
        alpha = None if self._alpha is None else partial(self._part_of_alpha, slice(top, bottom), slice(left, right))
        pixels = array[top:bottom, left:right]
        return Image(pixels, alpha=alpha, name=self.name, parent=self, origin=origin, seconds=self.seconds, frame=self.frame)

    def _part_of_alpha(self, rows: slice, columns: slice) -> Pixels | None:
        return None if self.alpha is None else self.alpha[rows, columns]

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
            alpha=None if self._alpha is None else partial(getattr, self, "alpha"),
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
            _ = self.array, self.alpha
        except ImageError as error:
            unread: dict[str, Any] = {"_read": partial(_unreadable, error), "_alpha": None}
            return {name: getattr(self, name) for name in self.__slots__} | unread
        return {name: getattr(self, name) for name in self.__slots__}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        for name in ("_pixels", "_alpha"):
            if state[name] is not None:
                setattr(self, name, _read_only(state[name]))

    def __repr__(self) -> str:
        size = "not read yet" if self._pixels is None else f"{self.width}x{self.height}"
        return f"Image({self.name!r}, {size})" if self.name else f"Image({size})"

    @classmethod
    def load(cls, value: Any, *, allow_urls: bool = False) -> Image:
        """Make an image of what a caller has: a path, bytes, base64, numpy (BGR), PIL, a URL, or an `Image`.

        Args:
            value: a path or `data:`/base64 text, the bytes of an image file, a `uint8` array `[h, w]`, `[h, w, 3]` (BGR)
                or `[h, w, 4]` (BGRA), a PIL image, or `{"type": "base64" | "url" | "file" | "numpy_object", "value": ...}`.
            allow_urls: whether http(s) addresses may be fetched.

        Raises:
            ImageError: the value is nothing of these, or its file is missing; broken files are told when first used.
        """
        if isinstance(value, Image):
            return value
        if isinstance(value, dict):
            return cls.load(_unwrap(value), allow_urls=allow_urls)
        if isinstance(value, str):
            return _from_text(value, allow_urls)
        if isinstance(value, Path):
            return _from_path(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(value)
            return _from_bytes(data, "the bytes")
        if hasattr(value, "convert") and hasattr(value, "getbands"):
            return cls(_from_pil(value), alpha=partial(_alpha_of_pil, value) if "A" in value.getbands() else None)
        if hasattr(value, "__array__"):
            array = np.asarray(value)
            return cls(_from_array(array), alpha=(lambda: array[:, :, 3]) if array.shape[2:] == (4,) else None)
        raise ImageError(
            f"{a(value)} is not an image; a path, bytes, base64 text, a numpy array (BGR), a PIL image or a URL would fit"
        )


def _unreadable(error: ImageError) -> Pixels:
    """Stands for the pixels of a copy of an image that could not be read."""
    raise error


def _read_only(pixels: Pixels) -> Pixels:
    view: Pixels = pixels.view()
    view.flags.writeable = False
    return view


def _unwrap(value: dict[str, Any]) -> Any:
    """The payload of `{"type": ..., "value": ...}`, the form of the HTTP clients of the language."""
    if "value" not in value:
        raise ImageError('an image given as an object needs "value": {"type": "base64", "value": "..."} would fit')
    return value["value"]


def _from_text(text: str, allow_urls: bool) -> Image:
    if text.startswith(("http://", "https://")):
        if not allow_urls:
            raise ImageError(f"`{text}` is a URL and fetching is not allowed; `allow_urls=True` (`--allow-urls`) allows it")
        return Image(lambda: _decode(_fetch(text), f"`{text}`"), alpha=lambda: _alpha(_fetch(text)), name=text)
    if text.startswith("data:"):
        return _from_base64(text.partition(",")[2])
    path = Path(text)
    if len(text) < 4096 and path.is_file():
        return _from_path(path)
    if len(text) > 64:
        return _from_base64(text)
    raise ImageError(f"`{text}` is not a file; a path, base64 text or a URL would fit")


def _from_path(path: Path) -> Image:
    if not path.is_file():
        raise ImageError(f"`{path}` is not a file")
    return Image(lambda: _decode(path.read_bytes(), f"`{path}`"), alpha=lambda: _alpha(path.read_bytes()), name=path.name)


def _from_base64(text: str) -> Image:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ImageError(f"the text `{text[:40]}...` is neither a file nor base64") from None
    return _from_bytes(data, "the base64 text")


def _from_bytes(data: bytes, what: str) -> Image:
    """An image file in memory; it is kept for its alpha where it has one."""
    return Image(lambda: _decode(data, what), alpha=partial(_alpha, data) if _has_alpha(data) else None)


def _has_alpha(data: bytes) -> bool:
    """Whether a PNG or WebP file says that it has alpha, by its head."""
    if data.startswith(b"\x89PNG"):
        return data[25:26] in (b"\x04", b"\x06") or b"tRNS" in data[:2048]
    return data[8:16] == b"WEBPVP8L" or (data[8:16] == b"WEBPVP8X" and len(data) > 20 and bool(data[20] & 16))


def _fetch(url: str) -> bytes:
    try:
        with urllib_request.urlopen(url, timeout=_URL_TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read()
    except OSError as error:
        raise ImageError(f"`{url}` cannot be fetched: {error}") from error
    return data


def _decode(data: bytes, what: str) -> Pixels:
    """Decode an image file; the camera's rotation (EXIF) is applied."""
    buffer = np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if len(buffer) else None
    if pixels is None:
        raise ImageError(f"{what} cannot be decoded as an image ({len(data)} bytes); PNG, JPEG, WebP, BMP or TIFF would fit")
    return np.asarray(pixels, np.uint8)


def _alpha(data: bytes) -> Pixels | None:
    """The alpha of an image file, or None; the camera's rotation is applied, as to the pixels."""
    try:
        with PilImage.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened)
            return _alpha_of_pil(image.convert("RGBA")) if image.has_transparency_data else None
    except OSError:  # OpenCV reads some files that Pillow does not
        return None


def _alpha_of_pil(image: Any) -> Pixels:
    return np.asarray(image.getchannel("A"), np.uint8)


def _from_pil(image: Any) -> Pixels:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _from_array(array: NDArray[Any]) -> Pixels:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError(
            f"an array {list(array.shape)} of {array.dtype} is not an image; uint8 [height, width, 3] in BGR order would fit"
        )
    if array.size == 0:
        raise ImageError(f"an array {list(array.shape)} holds no pixels")
    return _converted(array, cv2.COLOR_BGRA2BGR) if array.ndim == 3 and array.shape[2] == 4 else array


def _converted(pixels: Pixels, code: int) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
