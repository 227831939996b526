"""Arrays and tensors as images: one rule for shapes, numbers and the order of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from workflow_engine import Image, ImageError

BGR = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
RGB = np.ascontiguousarray(BGR[:, :, ::-1])
HWC = torch.from_numpy(RGB.copy())
CHW = HWC.permute(2, 0, 1)
GREY = BGR[:, :, 0]
GREYS = np.repeat(GREY[:, :, None], 3, axis=2)


class Elsewhere:
    """An array of another library, which is no tensor of torch: RGB, as JAX and TensorFlow have them."""

    def __init__(self, array: Any) -> None:
        self.array, self.ndim = array, array.ndim

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.array, dtype)


@pytest.mark.parametrize(
    "value",
    [
        BGR, BGR.astype(np.uint16) * 257, BGR.astype(np.int64), np.asfortranarray(BGR), np.repeat(BGR, 2, axis=1)[:, ::2],
        np.dstack([BGR, np.full(GREY.shape, 255, np.uint8)]),
        HWC, CHW, CHW.contiguous(), CHW.float() / 255, HWC.double() / 255, (CHW.float() / 255).requires_grad_(),
        CHW.int(), torch.cat([CHW, torch.full((1, 24, 32), 255, dtype=torch.uint8)]), Elsewhere(RGB),
        Elsewhere(RGB.transpose(2, 0, 1)), Elsewhere(RGB.astype(np.float32) / 255), CHW.to(torch.int64),
    ],
)  # fmt: skip
def test_arrays_are_bgr_and_tensors_rgb_in_either_layout(value: Any) -> None:
    image = Image.load(value)
    assert np.array_equal(image.array, BGR) and image.array.flags.c_contiguous and image.alpha is None


@pytest.mark.parametrize(
    "value",
    [GREY, GREY[:, :, None], GREY[None], torch.from_numpy(GREY.copy())[None], torch.from_numpy(GREY.copy())[:, :, None],
     torch.from_numpy(GREY.copy())[None].float() / 255, Elsewhere(GREY[None])],
)  # fmt: skip
def test_one_channel_is_grey(value: Any) -> None:
    assert np.array_equal(Image.load(value).array, GREYS)


def test_half_precision_is_rounded_to_the_nearest_level() -> None:
    for kind in (torch.float16, torch.bfloat16):
        given = (CHW.float() / 255).to(kind)
        wanted = torch.round(given.float() * 255).to(torch.uint8).permute(1, 2, 0).numpy()[:, :, ::-1]
        assert np.array_equal(Image.load(given).array, wanted)


def test_booleans_are_black_and_white() -> None:
    mask = GREY > 100
    assert np.array_equal(Image.load(mask).array[:, :, 0], np.where(mask, 255, 0))
    assert np.array_equal(Image.load(torch.from_numpy(mask)[None]).array[:, :, 2], np.where(mask, 255, 0))


def test_an_order_that_is_said_counts() -> None:
    for value, order in ((RGB, "rgb"), (BGR, "bgr"), (CHW.flip(0), "bgr"), (CHW, "rgb")):
        assert np.array_equal(Image.load(value, order=order).array, BGR)  # type: ignore[arg-type]
    alpha = np.full(GREY.shape, 0, np.uint8)
    image = Image.load(np.dstack([RGB, alpha]), order="rgb")
    assert image.alpha is not None and not image.alpha.any() and (image.array == 255).all()


def test_alpha_is_the_same_in_arrays_tensors_and_pil() -> None:
    alpha = np.random.default_rng(1).integers(0, 256, GREY.shape, dtype=np.uint8)
    rgba = np.dstack([RGB, alpha])
    wanted = Image.load(PilImage.fromarray(rgba))
    for value in (np.dstack([BGR, alpha]), torch.from_numpy(rgba), torch.from_numpy(rgba).permute(2, 0, 1)):
        image = Image.load(value)
        assert np.array_equal(image.array, wanted.array) and np.array_equal(image.alpha, wanted.alpha)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(3, 20, 3), "the first or the last dimension; a PIL image"),
        (torch.zeros(1, 20, 4), "the first or the last dimension"),
        (torch.zeros(20, 30), r"\[20, 30\] of float32 is not an image; \[3, height, width\]"),
        (torch.zeros(2, 20, 30), r"\[3, height, width\] or \[height, width, 3\] in RGB"),
        (torch.zeros(2, 3, 20, 30), "is not an image"),
        (torch.full((3, 20, 30), 2.0), "it holds 2 to 2; fractions within 0 and 1"),
        (torch.full((3, 20, 30), float("nan")), "fractions within 0 and 1"),
        (torch.full((3, 20, 30), -3), "it holds -3 to -3; 0 to 255"),
        (torch.zeros(3, 0, 30), "holds no pixels"),
        (torch.zeros(3, 20, 30, dtype=torch.complex64), "uint8 would fit"),
        (torch.zeros(3, 20, 30, device="meta"), "cannot be read as an array"),
        (torch.zeros(3, 20, 30).to_sparse(), "cannot be read as an array"),
        (np.zeros((20, 30, 3)), r"float64 is not an image; uint8 \[height, width, 3\] in BGR order"),
        (np.zeros((3, 20, 30), np.uint8), r"\.transpose\(1, 2, 0\) moves its channels there"),
        (np.zeros((20, 30, 2), np.uint8), r"\[height, width, 3\] in BGR"),
        (np.full((20, 30, 3), 300), "it holds 300 to 300; 0 to 255, or uint16"),
        (np.zeros(20, np.uint8), "is not an image"),
        (np.uint8(3), "is not an image"),
        (np.zeros((2, 2, 20, 30, 3), np.uint8), "is not an image"),
        (np.array([[None]]), "uint8 would fit"),
        (np.array([["a"]]), "uint8 would fit"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_told_with_what_would_fit(value: Any, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        Image.load(value)


OWNED: list[tuple[str, Callable[[], Any], Callable[[Any], Any]]] = [
    ("numpy", BGR.copy, lambda value: value.fill(0)),
    ("numpy, four channels", lambda: np.dstack([BGR, GREY]), lambda value: value.fill(0)),
    ("numpy, grey", GREY.copy, lambda value: value.fill(0)),
    ("numpy, one channel", lambda: GREY[None].copy(), lambda value: value.fill(0)),
    ("torch, channels last", HWC.clone, lambda value: value.zero_()),
    ("torch, channels first", CHW.clone, lambda value: value.zero_()),
    ("torch, grey", lambda: torch.from_numpy(GREY.copy())[None], lambda value: value.zero_()),
    ("another library", lambda: Elsewhere(RGB.copy()), lambda value: value.array.fill(0)),
    ("pil", lambda: PilImage.fromarray(RGB.copy()), lambda value: value.paste(0, (0, 0, 32, 24))),
    ("pil with alpha", lambda: PilImage.fromarray(np.dstack([RGB, GREY])), lambda value: value.putalpha(7)),
]


@pytest.mark.parametrize(("make", "empty"), [case[1:] for case in OWNED], ids=[case[0] for case in OWNED])
def test_what_is_done_to_a_value_afterwards_changes_nothing(make: Callable[[], Any], empty: Callable[[Any], Any]) -> None:
    value = make()
    image = Image.load(value)
    before, alpha = image.array.copy(), None if image.alpha is None else image.alpha.copy()
    empty(value)
    assert np.array_equal(image.array, before) and image.digest == Image(before).digest
    assert image.alpha is None or np.array_equal(image.alpha, alpha)
