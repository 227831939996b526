"""Pictures in and out of files: one picture gives one array, whichever way it enters and however it is stored."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

from workflow_engine import Image, ImageError
from workflow_engine.pictures import FORMATS, formats, suffixes

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (24, 32), dtype=np.uint8)
COLOURED = PilImage.fromarray(RGB)
TRANSPARENT = PilImage.fromarray(np.dstack([RGB, ALPHA]))
DEEP = RNG.integers(0, 65536, (24, 32), dtype=np.uint16)
HIDDEN = PilImage.fromarray(np.dstack([RGB, np.where(ALPHA < 128, 0, 255).astype(np.uint8)]))
TURNED = PilImage.Exif()
TURNED[0x0112] = 6


def stored(image: PilImage.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def on_white(colours: Any, alpha: Any) -> Any:
    """What the reference makes of a transparent picture, in BGR."""
    share = alpha[:, :, None] / 255
    return np.round(share * colours + (1 - share) * 255).astype(np.uint8)[:, :, ::-1]


PICTURES = {
    "jpeg": stored(COLOURED, "jpeg", quality=90),
    "jpeg, turned": stored(COLOURED, "jpeg", exif=TURNED),
    "jpeg, grey": stored(COLOURED.convert("L"), "jpeg"),
    "jpeg, cmyk": stored(COLOURED.convert("CMYK"), "jpeg"),
    "png": stored(COLOURED, "png"),
    "png, alpha": stored(TRANSPARENT, "png"),
    "png, grey and alpha": stored(TRANSPARENT.convert("LA"), "png"),
    "png, palette": stored(COLOURED.convert("P"), "png"),
    "png, transparent palette": stored(COLOURED.convert("P"), "png", transparency=bytes(range(256))),
    "png, transparent colour": stored(COLOURED, "png", transparency=tuple(RGB[3, 4].tolist())),
    "png, transparent grey": stored(COLOURED.convert("L"), "png", transparency=128),
    "png, 16 bits": stored(PilImage.fromarray(DEEP), "png"),
    "png, 1 bit": stored(COLOURED.convert("1"), "png"),
    "tiff, alpha": stored(TRANSPARENT, "tiff"),
    "tiff, 16 bits": stored(PilImage.fromarray(DEEP), "tiff"),
    "tiff, turned": stored(COLOURED, "tiff", exif=TURNED),
    "tiff, cmyk": stored(COLOURED.convert("CMYK"), "tiff"),
    "tiff, lab": stored(COLOURED.convert("YCbCr"), "tiff"),
    "gif, transparent": stored(HIDDEN, "gif"),
    "gif, animated": stored(HIDDEN, "gif", save_all=True, append_images=[COLOURED]),
    "webp, alpha": stored(TRANSPARENT, "webp"),
    "webp, animated": stored(TRANSPARENT, "webp", save_all=True, append_images=[TRANSPARENT.rotate(180)]),
    "bmp": stored(COLOURED, "bmp"),
    "jpeg 2000, alpha": stored(TRANSPARENT, "jpeg2000"),
    "ppm": stored(COLOURED, "ppm"),
    "tga, alpha": stored(TRANSPARENT, "tga"),
}


def wrapped(data: bytes) -> str:
    return base64.encodebytes(data).decode()


WAYS: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda data, path: data,
    "bytearray": lambda data, path: bytearray(data),
    "memoryview": lambda data, path: memoryview(data),
    "path": lambda data, path: path,
    "text of a path": lambda data, path: str(path),
    "base64": lambda data, path: base64.b64encode(data).decode(),
    "wrapped base64": lambda data, path: wrapped(data),
    "base64 with the line ends of windows": lambda data, path: wrapped(data).replace("\n", "\r\n"),
    "base64 for addresses, without padding": lambda data, path: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "base64 as bytes": lambda data, path: base64.b64encode(data),
    "wrapped base64 as bytes": lambda data, path: base64.encodebytes(data),
    "address with data": lambda data, path: f"data:image/png;base64,{base64.b64encode(data).decode()}",
    "address with parameters": lambda data, path: f"data:image/png;charset=utf-8;name=a.png;base64,{wrapped(data)}",
    "address in capitals": lambda data, path: f"DATA:;BASE64,{base64.b64encode(data).decode()}",
    "address with escaped base64": lambda data, path: (
        "data:image/png;base64," + base64.b64encode(data).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    ),
    "address with escaped bytes": lambda data, path: "data:image/png," + "".join(f"%{byte:02x}" for byte in data),
    "object with base64": lambda data, path: {"type": "base64", "value": wrapped(data)},
    "object with an address": lambda data, path: {"type": "base64", "value": f"data:;base64,{wrapped(data)}"},
    "object with a path": lambda data, path: {"type": "file", "value": str(path)},
    "object without a type": lambda data, path: {"value": base64.b64encode(data).decode()},
    "file object": lambda data, path: io.BytesIO(data),
    "file object that was read": lambda data, path: read_to_its_end(io.BytesIO(data)),
    "open file": lambda data, path: path.open("rb"),
    "pil": lambda data, path: PilImage.open(path),
    "pil, loaded": lambda data, path: loaded(PilImage.open(path)),
    "object with pil": lambda data, path: {"type": "pil", "value": PilImage.open(path)},
}


def read_to_its_end(file: io.BytesIO) -> io.BytesIO:
    file.read()
    return file


def loaded(image: PilImage.Image) -> PilImage.Image:
    image.load()
    return image


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_gives_one_array_whichever_way_it_enters(way: str, tmp_path: Path) -> None:
    for name, data in PICTURES.items():
        path = tmp_path / name
        path.write_bytes(data)
        wanted, image = Image.load(data), Image.load(WAYS[way](data, path))
        assert np.array_equal(image.array, wanted.array), name
        assert image.array.ndim == 3 and image.array.dtype == np.uint8 and not image.array.flags.writeable
        assert (image.alpha is None) == (wanted.alpha is None), name
        assert image.alpha is None or np.array_equal(image.alpha, wanted.alpha), name


@pytest.mark.parametrize("name", [name for name in PICTURES if "alpha" in name or "transparent" in name or "webp" in name])
def test_what_is_transparent_lies_on_white_and_its_alpha_is_kept(name: str) -> None:
    image = Image.load(PICTURES[name])
    straight = np.asarray(PilImage.open(io.BytesIO(PICTURES[name])).convert("RGBA"))
    assert np.array_equal(image.array, on_white(straight[:, :, :3], straight[:, :, 3]))
    assert np.array_equal(image.alpha, straight[:, :, 3]) and (straight[:, :, 3] < 255).mean() > 0


def test_laying_on_white_rounds_to_the_nearest_as_the_reference_does() -> None:
    colours, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    bgra = np.dstack([colours, colours, colours, alpha])
    wanted = on_white(bgra[:, :, :3], alpha)
    assert np.array_equal(Image.load(bgra).array, wanted)
    assert np.array_equal(Image.load(PilImage.fromarray(bgra)).array, wanted)


def test_a_transparent_colour_far_behind_in_a_file_is_found() -> None:
    plain = stored(COLOURED.convert("P"), "png")
    place = plain.index(b"IDAT") - 4
    text = chunk(b"tEXt", b"comment\0" + b"x" * 5000)
    late = plain[:place] + text + chunk(b"tRNS", bytes(256)) + plain[place:]
    assert late.index(b"tRNS") > 4096
    image = Image.load(late)
    assert (image.array == 255).all() and image.alpha is not None and not image.alpha.any()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_black_text_on_nothing_is_black_on_white() -> None:
    empty = np.zeros((40, 120, 4), np.uint8)
    cv2.putText(empty, "STOP", (5, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0, 255), 2)
    image = Image.load(PilImage.fromarray(empty))
    assert image.array[0, 0].tolist() == [255, 255, 255] and image.array.min() == 0


def test_a_wholly_opaque_alpha_is_none() -> None:
    opaque = COLOURED.convert("RGBA")
    assert Image.load(opaque).alpha is None and np.array_equal(Image.load(opaque).array, RGB[:, :, ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff", "pil"])
def test_the_camera_is_turned_upright_in_files_and_for_pil(form: str, orientation: int) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    grey = np.zeros((16, 48), np.uint8)
    grey[:8, :16] = 255
    picture = PilImage.fromarray(grey).convert("RGB")
    if form == "pil":
        picture.info["exif"] = exif.tobytes()
        image = Image.load(picture)
    else:
        options = {"lossless": True} if form == "webp" else {}
        image = Image.load(stored(picture, form, exif=exif, **options))
    flipped = {1: grey, 2: grey[:, ::-1], 3: grey[::-1, ::-1], 4: grey[::-1], 5: grey.T, 6: np.rot90(grey, -1),
               7: np.rot90(grey, 2).T, 8: np.rot90(grey)}[orientation]  # fmt: skip
    assert np.abs(image.array[:, :, 0].astype(int) - flipped).max() < 40


def test_a_damaged_orientation_loses_no_picture() -> None:
    picture = COLOURED.copy()
    picture.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert np.array_equal(Image.load(picture).array, RGB[:, :, ::-1])


@pytest.mark.parametrize("form", ["png", "tiff", "jpeg2000"])
def test_16_bits_become_8_by_their_upper_byte(form: str) -> None:
    image = Image.load(stored(PilImage.fromarray(DEEP), form))
    assert np.array_equal(image.array, np.repeat((DEEP >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    "picture",
    [PilImage.fromarray(DEEP), PilImage.fromarray(DEEP.astype(">u2")), PilImage.fromarray(DEEP.astype(np.int32)),
     PilImage.fromarray(DEEP.astype(np.float32))],
    ids=["I;16", "I;16B", "I", "F"],
)  # fmt: skip
def test_pil_of_16_bits_is_no_white_picture(picture: PilImage.Image) -> None:
    assert np.array_equal(Image.load(picture).array[:, :, 1], DEEP >> 8)


def test_a_transparent_level_of_16_bits_is_transparent() -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 16, 0, 0, 0, 0)) + chunk(b"tRNS", struct.pack(">H", 1000))
    rows = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">3H", 1000, 1001, 65535)))
    image = Image.load(b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b""))
    assert image.array[0, :, 0].tolist() == [255, 3, 255] and image.alpha is not None
    assert image.alpha.tolist() == [[0, 255, 255]]


GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    ("picture", "wanted"),
    [
        (PilImage.fromarray(GREY).convert("I"), GREY),
        (PilImage.fromarray(GREY).convert("F"), GREY),
        (PilImage.fromarray((GREY / 255).astype(np.float32)), GREY),
        (PilImage.fromarray(GREY).convert("1"), None),
        (PilImage.fromarray(GREY).convert("P"), None),
    ],
)
def test_other_modes_of_one_channel_keep_their_levels(picture: PilImage.Image, wanted: Any) -> None:
    wanted = np.asarray(picture.convert("L")) if wanted is None else wanted
    assert np.array_equal(Image.load(picture).array[:, :, 0], wanted)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_other_colours_become_rgb(mode: str) -> None:
    flat = PilImage.new("RGB", (4, 3), (200, 100, 50))
    image = Image.load(flat.convert(mode))
    assert np.abs(image.array.astype(int) - [50, 100, 200]).max() <= 6 and image.alpha is None


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_every_mode_with_alpha_lies_on_white(mode: str) -> None:
    half = PilImage.merge("LA", (PilImage.new("L", (4, 3), 100), PilImage.new("L", (4, 3), 51)))
    picture = half.convert(mode) if mode in ("LA", "La") else half.convert("RGBA").convert(mode)
    image = Image.load(picture)
    assert image.alpha is not None and (image.alpha == 51).all()
    assert np.abs(image.array.astype(int) - 224).max() <= 1


@pytest.mark.parametrize("number", [-1.0, float("nan"), 70000.0])
def test_numbers_of_no_picture_are_told(number: float) -> None:
    with pytest.raises(ImageError, match="0 to 255"):
        Image.load(PilImage.new("F", (2, 2), number))


def test_a_closed_or_empty_pil_image_is_told() -> None:
    closed = COLOURED.copy()
    closed.close()
    with pytest.raises(ImageError, match="PIL image cannot be read"):
        Image.load(closed)
    with pytest.raises(ImageError, match="holds no pixels"):
        Image.load(PilImage.new("RGB", (0, 3)))


@pytest.mark.parametrize("name", PICTURES)
def test_a_torn_file_is_told(name: str) -> None:
    data = PICTURES[name]
    with pytest.raises(ImageError, match="cannot be decoded as an image"):
        _ = Image.load(data[: len(data) // 3]).array


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    with pytest.raises(ImageError, match="exceeds limit"):
        _ = Image.load(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")).array


def test_opencv_reads_what_pillow_does_not_know() -> None:
    data = cv2.imencode(".hdr", np.full((4, 6, 3), 0.5, np.float32))[1].tobytes()
    assert Image.load(data).array.shape == (4, 6, 3)


def test_no_format_is_read_that_runs_another_program() -> None:
    assert "EPS" not in FORMATS and set(formats()) <= set(FORMATS)
    assert {".jpg", ".png", ".gif", ".jp2", ".webp", ".tif", ".bmp"} <= suffixes() and not {".eps", ".pdf"} & suffixes()
