"""Pictures as pixels: image files and Pillow's images, read in one way, so that one picture gives one array.

Pillow decodes them, as it does for the reference of Florence-2; OpenCV reads the few formats that Pillow does not know. The
camera's rotation (EXIF) is applied, the first frame of several is taken, and 16 bits become 8 by their upper byte. Where a
picture is transparent it is laid on white, as the reference does it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import PIL
    from numpy.typing import NDArray
    from PIL import Image as PilImage
    from PIL import ImageOps

    Pixels = NDArray[np.uint8]
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")
    PIL = LazyModule("PIL")
    PilImage = LazyModule("PIL.Image")
    ImageOps = LazyModule("PIL.ImageOps")

_COMMON = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000")
_RARE = ("PPM", "MPO", "DIB", "TGA", "QOI", "PCX", "SGI", "SUN", "DDS", "PSD", "HEIF", "JXL")
FORMATS: Final = _COMMON + _RARE
"""The formats that are read, by Pillow's names, where Pillow has them: none that runs another program, as EPS does."""

_ORIENTATION: Final = 0x0112
"""The EXIF tag that says how the camera was held."""


class ImageError(ValueError):
    """A value cannot be read as an image; the message says what it was and what would fit."""


class Picture(NamedTuple):
    """A picture that was read.

    Attributes:
        pixels: BGR `uint8` `[height, width, 3]`, laid on white where it is transparent.
        bgra: the colours before that, with how opaque they are, `uint8` `[height, width, 4]`; None where all are wholly opaque.
    """

    pixels: Pixels
    bgra: Pixels | None = None


def formats() -> list[str]:
    """The formats of `FORMATS` that this Pillow reads, with those of its plugins."""
    PilImage.init()
    return [name for name in FORMATS if name in PilImage.OPEN]


def suffixes() -> set[str]:
    """The suffixes of files in these formats, in small letters."""
    known = set(formats())
    return {suffix for suffix, name in PilImage.registered_extensions().items() if name in known}


def decode(data: bytes, what: str) -> Picture:
    """Decode an image file; `what` names it in errors.

    Raises:
        ImageError: it is damaged, or no image of a known format.
    """
    try:
        with PilImage.open(io.BytesIO(data), formats=formats()) as opened:
            return of_pillow(opened)
    except PIL.UnidentifiedImageError:
        picture, reason = _of_opencv(data), "its format is not known"
    except Exception as error:  # of which type, is up to the format
        picture, reason = None, str(error) or type(error).__name__
    if picture is None:
        fitting = "a whole PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF or JPEG 2000 would fit"
        raise ImageError(f"{what} cannot be decoded as an image ({len(data)} bytes): {reason}; {fitting}")
    return picture


def _of_opencv(data: bytes) -> Picture | None:
    """A file in a format that Pillow does not know; None where OpenCV does not know it either."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if pixels is None else Picture(np.asarray(pixels, np.uint8))


def of_pillow(image: PilImage.Image) -> Picture:
    """The picture of a Pillow image of any mode.

    Raises:
        ImageError: it holds no pixels, or numbers whose range is that of no picture.
        Exception: what Pillow raises for a damaged or closed file.
    """
    upright = _upright(image)
    if 0 in upright.size:
        raise ImageError(f"a picture of {upright.width}x{upright.height} holds no pixels")
    if upright.mode[0] in "IF":  # one channel of more than 8 bits
        return _of_deep_grey(upright)
    if upright.mode == "La":  # Pillow knows the way from there to grey alone
        upright = upright.convert("LA")
    if not upright.has_transparency_data:
        rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
        return Picture(_bytes_of(rgb, "BGR"))
    return of_bgra(_bytes_of(upright.convert("RGBA"), "BGRA"))


def _upright(image: PilImage.Image) -> PilImage.Image:
    """An image as the camera was held; as it is where it does not say, or says it in a damaged way."""
    image.load()
    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
    except Exception:
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _bytes_of(image: PilImage.Image, channels: str) -> Pixels:
    """The pixels `[height, width, channels]` of an RGB or RGBA image in another order."""
    return np.frombuffer(image.tobytes("raw", channels), np.uint8).reshape(image.height, image.width, len(channels))


def _of_deep_grey(image: PilImage.Image) -> Picture:
    """One channel of 16 bits, of whole numbers, or of fractions.

    Only the modes of 16 bits have a range. Numbers within 0 and 255 are taken as they are, and fractions within 0 and 1 as
    shares of white; larger numbers count as 16 bits.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high < 65536):  # this way round, NaN does not fit either
        raise ImageError(f"a PIL image of mode {image.mode} holds {low:g} to {high:g}; 0 to 255, or to 65535, would fit")
    if image.mode.startswith("I;16") or high >= 256:
        grey = values.astype(np.uint16) >> 8
    elif image.mode == "F" and high <= 1:
        grey = np.rint(values * 255)
    else:
        grey = values
    level = grey.astype(np.uint8)
    key = image.info.get("transparency")
    opaque = np.where(values == key, 0, 255).astype(np.uint8) if isinstance(key, int) else np.full_like(level, 255)
    return of_bgra(np.dstack([level, level, level, opaque]))


def of_bgra(bgra: Pixels) -> Picture:
    """The picture of pixels `[height, width, BGRA]`, which belong to it from then on: on white, rounded to the nearest."""
    alpha = bgra[:, :, 3:]
    if alpha.min() == 255:
        return Picture(np.ascontiguousarray(bgra[:, :, :3]))
    share = alpha.astype(np.uint16)
    on_white = (share * bgra[:, :, :3] + (255 - share) * 255 + 127) // 255
    return Picture(on_white.astype(np.uint8), bgra)
