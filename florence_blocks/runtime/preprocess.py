"""Images as pixel values: Pillow's resize, then one table look-up per channel.

A pixel has 256 values, so rescaling and normalising is a table of 256 floats per channel, computed in the order of the
reference (rescale in float64, round to float32, subtract, divide). The result is equal to the reference's to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage

from florence_blocks.model_ids import CheckpointError
from workflow_engine.data import Image

OBEYED: Final = frozenset({
    "size", "resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "image_seq_length",
})  # fmt: skip
"""Settings of an image processor that pixel values follow."""

HARMLESS: Final = frozenset({
    "do_convert_rgb", "crop_size", "default_to_square", "data_format", "input_data_format", "return_tensors", "device",
    "disable_grouping", "image_processor_type", "feature_extractor_type", "processor_class", "auto_map",
    "_valid_processor_keys",
})  # fmt: skip
"""Settings on which pixel values do not depend: images are RGB already, and `crop_size` is asked for only where one crops."""

REFUSED: Final[Mapping[str, tuple[Any, ...]]] = {"do_resize": (True,), "do_center_crop": (False,), "do_pad": (False,)}
"""Settings that are not supported, each with the values, besides null, at which images are stretched to `size` and no more."""

_LARGEST: Final = 4096
_MOST: Final = 1e6


class Preprocessor:
    """The preprocessing of one checkpoint.

    Attributes:
        size: height and width that images are stretched to.
    """

    def __init__(
        self, size: tuple[int, int], mean: Sequence[float], std: Sequence[float], *, resample: int, rescale: float
    ) -> None:
        self.size = size
        self._resample = PilImage.Resampling(resample)
        scaled = (np.arange(256) * rescale).astype(np.float32)
        table = (scaled - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]
        self._table: NDArray[np.float32] = table.astype(np.float32)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessor:
        """Read the settings of an image processor's JSON; what is not there is what CLIP's processor has.

        Raises:
            CheckpointError: a setting is missing, is not supported, or does not fit.
        """
        size = _size(config)
        _refuse(config, size)
        scaled, normalised = _flag(config, "do_rescale"), _flag(config, "do_normalize")
        return cls(
            size,
            _channels(config, "image_mean") if normalised else (0.0,) * 3,
            _channels(config, "image_std") if normalised else (1.0,) * 3,
            resample=_resample(config),
            rescale=_number(config.get("rescale_factor", 1 / 255), "rescale_factor") if scaled else 1.0,
        )

    def __call__(self, images: Sequence[Image]) -> torch.Tensor:
        """Pixel values `[n, 3, height, width]`, float32."""
        out = np.empty((len(images), 3, *self.size), np.float32)
        for target, image in zip(out, images, strict=True):
            resized = self._resized(image)
            for channel in range(3):
                np.take(self._table[channel], resized[:, :, channel], out=target[channel])
        return torch.from_numpy(out)

    def _resized(self, image: Image) -> NDArray[np.uint8]:
        """RGB pixels `[height, width, 3]` at the model's size."""
        rgb = PilImage.fromarray(np.ascontiguousarray(image.bgr[:, :, ::-1]))
        return np.asarray(rgb.resize((self.size[1], self.size[0]), self._resample))


# ---------------------------------------------------------------- settings


def _refuse(config: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Tell the first setting that would be ignored."""
    for name, value in config.items():
        if name in OBEYED or name in HARMLESS or value is None or value in REFUSED.get(name, ()):
            continue
        if name == "do_center_crop" and value is True and config.get("crop_size") == {"height": size[0], "width": size[1]}:
            continue  # nothing is cut off
        fits = " or ".join(["null", *map(str, REFUSED.get(name, ()))])
        raise CheckpointError(f"its image processor asks for `{name}` = {value!r}, which is not supported; {fits} would fit")


def _size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width."""
    size = config.get("size")
    if isinstance(size, dict) and set(size) == {"height", "width"}:
        height, width = size["height"], size["width"]
        if all(type(side) is int and 0 < side <= _LARGEST for side in (height, width)):
            return height, width
    fits = '{"height": 768, "width": 768} would fit'
    raise CheckpointError(f"its image processor asks for `size` = {size!r}; images are stretched, so that {fits}")


def _flag(config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name)
    if value not in (None, True, False):
        raise CheckpointError(f"its image processor asks for `{name}` = {value!r}; true or false would fit")
    return value is not False


def _resample(config: Mapping[str, Any]) -> int:
    value = config.get("resample")
    known = {filter_.value: filter_.name.lower() for filter_ in PilImage.Resampling}
    if value is not None and (type(value) is not int or value not in known):
        fits = ", ".join(f"{number} ({name})" for number, name in sorted(known.items()))
        raise CheckpointError(f"its image processor asks for `resample` = {value!r}; {fits} would fit")
    return int(PilImage.Resampling.BICUBIC if value is None else value)


def _channels(config: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """A number per channel; one number is that of all."""
    value = config.get(name)
    if value is None:
        raise CheckpointError(f"its image processor names no `{name}`")
    numbers = value if isinstance(value, list) else [value] * 3
    if len(numbers) != 3:
        raise CheckpointError(f"its image processor asks for `{name}` = {value!r}; a number per channel would fit")
    found = tuple(_number(number, name) for number in numbers)
    if name == "image_std" and 0 in found:
        raise CheckpointError("its image processor divides by zero (`image_std`)")
    return found


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _MOST:
        raise CheckpointError(f"its image processor asks for `{name}` = {value!r}; a number would fit")
    return float(value)
