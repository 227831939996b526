"""What callers have of an image: paths, bytes, base64, file objects, addresses, arrays, Pillow's images, and objects of JSON.

All of it is taken at once, so that what the caller does with it afterwards changes nothing: files are read and arrays copied.
Files are decoded when they are first used, and addresses fetched then.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from workflow_engine.arrays import Order, is_array, of_array
from workflow_engine.errors import a
from workflow_engine.lazy import LazyModule
from workflow_engine.pictures import ImageError, Picture, decode, of_pillow

if TYPE_CHECKING:
    import http.client as http_client
    import urllib.request as urllib_request
else:
    http_client = LazyModule("http.client")
    urllib_request = LazyModule("urllib.request")

MAX_BYTES: Final = 1 << 30
"""Larger files are not read as images."""

_URL_TIMEOUT_SECONDS: Final = 30
_USUAL_RATE: Final = 30.0
"""Frames a second of a video that does not say."""
_MOST_FRAMES: Final = 10**12
_LONGEST_PATH: Final = 4096
_SMALLEST_FILE: Final = 14
"""Bytes of the smallest image file: shorter texts are misspelt paths rather than base64."""

Reader = Callable[[], Picture]


class Source(NamedTuple):
    """Where a picture comes from.

    Attributes:
        picture: the picture, or what reads it when it is first used.
        name: what people call it; empty where it has no name.
    """

    picture: Picture | Reader
    name: str = ""


@dataclass(frozen=True)
class _File:
    """An image file in memory; `what` names it in errors."""

    data: bytes
    what: str

    def __call__(self) -> Picture:
        """The picture.

        Raises:
            ImageError: it cannot be decoded.
        """
        try:
            return decode(self.data, self.what)
        except ImageError:
            inner = _from_base64(self.data.decode()) if self.data.isascii() else None  # bytes, as `b64encode` gives them
            if inner is None:
                raise
            return decode(inner, self.what)


@dataclass(frozen=True)
class _Address:
    """An image on a web server."""

    url: str

    def __call__(self) -> Picture:
        """The picture.

        Raises:
            ImageError: it cannot be fetched or decoded.
        """
        return decode(_fetched(self.url), f"`{self.url}`")


def source_of(value: Any, *, allow_urls: bool = False, order: Order | None = None) -> Source:
    """Where the picture of what a caller has comes from.

    Args:
        value: see `Image.load`.
        allow_urls: whether http(s) addresses may be fetched.
        order: the order of the channels of an array, where it is another one than usual.

    Raises:
        ImageError: the value is nothing that images are made of, or its file cannot be read; the message says what would fit.
    """
    if isinstance(value, dict):
        return _of_object(value, allow_urls, order)
    if isinstance(value, str):
        return _of_text(value, allow_urls)
    if isinstance(value, os.PathLike):
        return _of_path(Path(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Source(_File(bytes(value), "the bytes"))
    if hasattr(value, "convert") and hasattr(value, "getbands"):
        return Source(_of_pillow(value))
    if is_array(value):
        return Source(of_array(value, order))
    if hasattr(value, "read"):
        return _of_file_object(value)
    fitting = "a path, bytes, base64 text, a numpy array (BGR), a tensor (RGB), a PIL image, a file object or a URL would fit"
    raise ImageError(f"{a(value)} is not an image; {fitting}")


def _of_object(value: dict[str, Any], allow_urls: bool, order: Order | None) -> Source:
    """`{"type": ..., "value": ...}`, the form of the HTTP clients of the language: its type says how the value is read."""
    kind, inner = value.get("type"), value.get("value")
    if inner is None or isinstance(inner, dict):
        raise ImageError('an image given as an object needs "value": {"type": "base64", "value": "..."} would fit')
    if kind == "base64" and isinstance(inner, str):
        return _of_data_url(inner) if inner[:5].lower() == "data:" else _of_base64(inner, "the base64 text")
    if kind == "file" and isinstance(inner, (str, os.PathLike)):
        return _of_path(Path(inner))
    if kind == "url" and isinstance(inner, str) and _is_address(inner):
        return _of_address(inner, allow_urls)
    if kind is None or (kind in ("base64", "numpy_object", "numpy", "pil") and not isinstance(inner, (str, os.PathLike))):
        return source_of(inner, allow_urls=allow_urls, order=order)
    known = '"base64" with a text, "file" with a path, "url" with an address, "numpy_object" with an array'
    raise ImageError(f"an image of the type {kind!r} with {a(inner)} is not read; {known} would fit")


def frame_of(value: Any) -> tuple[int | None, float | None]:
    """Which frame of its video an image given as an object is, and its seconds from the beginning, as far as it says so.

    Raises:
        ImageError: it says something else.
    """
    said = value.get("video_metadata") if isinstance(value, dict) else None
    if said is None:
        return None, None
    number, rate = (said.get(key) if isinstance(said, dict) else None for key in ("frame_number", "fps"))
    rate = _USUAL_RATE if rate is None else rate
    if not _is_within(number, 0, _MOST_FRAMES) or not isinstance(number, int) or not _is_within(rate, 1e-6, _MOST_FRAMES):
        raise ImageError(
            'video_metadata is {"frame_number": 1, "fps": 30}: a whole number of at least 0, and frames a second; '
            f"got {_short(repr(said))}"
        )
    return number, max(number - 1, 0) / rate


def _is_within(value: Any, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _of_text(text: str, allow_urls: bool) -> Source:
    """A path, an address, or base64 with or without the head of a `data:` URL."""
    if not text.strip():
        raise ImageError("an empty text is not an image; a path, base64 text or a URL would fit")
    if _is_address(text):
        return _of_address(text, allow_urls)
    if text[:5].lower() == "data:":
        return _of_data_url(text)
    if len(text) > _LONGEST_PATH:
        return _of_base64(text, "the base64 text")
    if _state(Path(text)) is None:
        data = _from_base64(text)
        if data is not None and len(data) >= _SMALLEST_FILE:
            return Source(_File(data, f"`{_short(text)}` is no file, and as base64 it"))
    return _of_path(Path(text))


def _is_address(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _of_address(url: str, allow_urls: bool) -> Source:
    if not allow_urls:
        raise ImageError(f"`{url}` is a URL and fetching is not allowed; `allow_urls=True` (`--allow-urls`) allows it")
    return Source(_Address(url), url)


def _of_data_url(text: str) -> Source:
    """`data:image/png;charset=utf-8;base64,...`; without the word `base64` its bytes are written with percent signs."""
    head, comma, body = text.partition(",")
    if not comma:
        raise ImageError(f"the address `{_short(text)}` holds no data; data:image/png;base64,... would fit")
    if any(part.strip().lower() == "base64" for part in head.split(";")):
        return _of_base64(unquote(body), "the base64 text")
    return Source(_File(unquote_to_bytes(body), "the data of the address"))


def _of_base64(text: str, what: str) -> Source:
    data = _from_base64(text)
    if data is None:
        raise ImageError(f"the text `{_short(text)}` is not base64; a path, base64 text or a URL would fit")
    return Source(_File(data, what))


def _from_base64(text: str) -> bytes | None:
    """The bytes of base64 in either alphabet, with or without line breaks and padding; None where it is none."""
    packed = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:40]}..."


def _of_path(path: Path) -> Source:
    state = _state(path)
    if state is None:
        nothing = "a link to nothing" if _is_link(path) else "not a file"
        raise ImageError(f"`{_short(str(path))}` is {nothing}; a path, base64 text or a URL would fit")
    if stat.S_ISDIR(state.st_mode):
        raise ImageError(f"`{path}` is a folder; a file would fit")
    if not stat.S_ISREG(state.st_mode):
        raise ImageError(f"`{path}` is a device or a pipe; a file would fit")
    if state.st_size > MAX_BYTES:
        raise ImageError(f"`{path}` has {state.st_size} bytes; image files of up to {MAX_BYTES} bytes are read")
    try:
        return Source(_File(path.read_bytes(), f"`{path}`"), path.name)
    except OSError as error:
        raise ImageError(f"`{path}` cannot be read: {error.strerror or error}") from error


def _state(path: Path) -> os.stat_result | None:
    """What the system knows about a file or folder; None where nothing is there."""
    try:
        return path.stat()
    except PermissionError as error:
        raise ImageError(f"`{_short(str(path))}` cannot be read: {error.strerror}") from error
    except (OSError, ValueError):  # no such file, too long a name, a name with a null in it
        return None


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


def _of_pillow(image: Any) -> Picture:
    try:
        return of_pillow(image)
    except ImageError:
        raise
    except Exception as error:  # of which type, is up to the format
        raise ImageError(f"the PIL image cannot be read: {error or type(error).__name__}") from error


def _of_file_object(file: Any) -> Source:
    """All of a file, from its beginning where it can go back there, as Pillow reads one."""
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        data = file.read(MAX_BYTES + 1)
    except Exception as error:  # of which type, is up to the object
        raise ImageError(f"{a(file)} cannot be read: {error}") from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ImageError(f'{a(file)} gives {a(data)} when it is read; a file opened with the mode "rb" would fit')
    if len(data) > MAX_BYTES:
        raise ImageError(f"{a(file)} has more than {MAX_BYTES} bytes; smaller image files are read")
    name = getattr(file, "name", "")
    return Source(_File(bytes(data), "the file object"), Path(name).name if isinstance(name, str) else "")


def _fetched(url: str) -> bytes:
    try:
        with urllib_request.urlopen(url, timeout=_URL_TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError, http_client.HTTPException) as error:
        raise ImageError(f"`{url}` cannot be fetched: {error}") from error
    if len(data) > MAX_BYTES:
        raise ImageError(f"`{url}` has more than {MAX_BYTES} bytes; smaller image files are read")
    return data
