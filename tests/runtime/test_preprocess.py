"""Pixel values beside those of the reference, bit by bit, for pictures of every sort and from every source."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from PIL import ImageOps
from transformers import CLIPImageProcessorPil

from florence_blocks import Florence2
from florence_blocks.demo import draw_scene
from florence_blocks.runtime.shared import shared_model
from tests.engine.test_pictures import PICTURES
from workflow_engine.data import Image

MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"]
SCENE = draw_scene(3, width=320, height=320, shapes=0, words=1)


@pytest.fixture(scope="module")
def reference() -> Any:
    """The image processor of the embedded checkpoint, by transformers' own class."""
    height, width = shared_model("florence-2-demo", device="cpu").checkpoint.preprocessor.size
    return CLIPImageProcessorPil(
        size={"height": height, "width": width},
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )


def ours(value: Any) -> torch.Tensor:
    return shared_model("florence-2-demo", device="cpu").checkpoint.preprocessor([Image.load(value)])


def picture(mode: str) -> PilImage.Image:
    rng = np.random.default_rng(0)
    image = PilImage.fromarray(rng.integers(0, 256, (48, 64, 4), dtype=np.uint8))
    if mode in ("LA", "PA", "RGBA"):
        return image.convert(mode)
    return image.convert("RGB").convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_pixel_values_of_pil_are_those_of_the_reference_in_every_mode(mode: str, reference: Any) -> None:
    wanted = reference(picture(mode), return_tensors="pt")["pixel_values"]
    assert torch.equal(ours(picture(mode)), wanted)


@pytest.mark.parametrize("name", [name for name in PICTURES if "16 bits" not in name])
def test_pixel_values_of_files_are_those_of_the_reference(name: str, reference: Any, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(PICTURES[name])
    upright = ImageOps.exif_transpose(PilImage.open(path))  # as the reference's own loading does it
    wanted = reference(upright, return_tensors="pt")["pixel_values"]
    assert torch.equal(ours(path), wanted) and torch.equal(ours(PilImage.open(path)), wanted)


def test_arrays_and_tensors_have_the_pixel_values_of_their_picture(reference: Any) -> None:
    rgba = np.asarray(picture("RGBA"))
    wanted = reference(rgba, return_tensors="pt")["pixel_values"]
    bgra = rgba[:, :, [2, 1, 0, 3]]
    assert torch.equal(ours(bgra), wanted) and torch.equal(ours(torch.from_numpy(rgba.copy()).permute(2, 0, 1)), wanted)


def test_16_bits_are_scaled_where_the_reference_cuts_them_off(reference: Any) -> None:
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    deep = PilImage.fromarray(levels)
    eight = PilImage.fromarray((levels >> 8).astype(np.uint8))
    assert torch.equal(ours(deep), reference(eight, return_tensors="pt")["pixel_values"])
    assert not torch.equal(ours(deep), reference(deep, return_tensors="pt")["pixel_values"])


def test_the_alpha_of_lab_is_no_transparency_here(reference: Any) -> None:
    lab = picture("RGB").convert("LAB")
    assert torch.equal(ours(lab), reference(lab.convert("RGB"), return_tensors="pt")["pixel_values"])


def test_black_text_on_nothing_is_read() -> None:
    model = Florence2.from_pretrained("florence-2-demo", device="cpu")
    word = SCENE.words[0]
    assert model.ocr_image(SCENE.image) == word.text
    ink = (255 - SCENE.image.min(axis=2)).astype(np.uint8)  # everything that is not white, as black on nothing
    rgba = PilImage.fromarray(np.dstack([np.zeros_like(SCENE.image), ink]))
    file = io.BytesIO()
    rgba.save(file, "png")
    flat = PilImage.new("RGB", rgba.size, "white")
    flat.paste(rgba, mask=rgba.getchannel("A"))
    assert model.ocr_image(rgba) == model.ocr_image(file.getvalue()) == model.ocr_image(flat) == word.text
