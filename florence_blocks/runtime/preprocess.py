"""Images as pixel values: Pillow's resize, then one table look-up per channel.

A pixel has 256 values, so rescaling and normalising is a table of 256 floats per channel, computed in the order of the
reference (rescale in float64, round to float32, subtract, divide). The result is equal to the reference's to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage

from workflow_engine.data import Image


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
        """Read the settings of an image processor's JSON.

        Raises:
            KeyError: a setting is missing.
        """
        size = config["size"]
        return cls((int(size["height"]), int(size["width"])), config["image_mean"], config["image_std"],
                   resample=int(config.get("resample", 3)), rescale=float(config.get("rescale_factor", 1 / 255)))  # fmt: skip

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
