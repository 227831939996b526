"""Arrays and tensors as pictures: which shapes, numbers and orders of channels are read.

Arrays of numpy are BGR, as OpenCV has them: `[height, width, 3]`, `[height, width, 4]` with an alpha channel, or grey with one
channel or none. Tensors of torch, JAX and TensorFlow are RGB, as theirs are: `[3, height, width]` or `[height, width, 3]`, with
4 channels where there is alpha, with 1 where they are grey.

Numbers are `uint8`, `uint16` or booleans, or other whole numbers within 0 and 255. Those of tensors may be fractions within 0
and 1; fractions of numpy are refused, as the libraries that make them have their channels in RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from workflow_engine.errors import a
from workflow_engine.lazy import LazyModule
from workflow_engine.pictures import ImageError, Picture, of_bgra

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray

    from workflow_engine.pictures import Pixels
else:
    cv2 = LazyModule("cv2")
    np = LazyModule("numpy")

Order = Literal["bgr", "rgb"]
"""The order of the channels of an array; an alpha channel is always the last."""

_CHANNELS: Final = (1, 3, 4)
_NUMPY: Final = "uint8 [height, width, 3] in BGR order would fit"
_TENSOR: Final = "[3, height, width] or [height, width, 3] in RGB order would fit"
_HALF_A_LEVEL: Final = 0.5 / 255
"""How far fractions may lie outside of 0 and 1: what rounds to a level of `uint8`."""


def batch_of(value: Any) -> list[Any] | None:
    """The images of a batch `[images, ...]` of four dimensions; None where a value is no such batch."""
    return list(value) if getattr(value, "ndim", 0) == 4 else None


def is_array(value: Any) -> bool:
    """Whether a value is an array of numpy or a tensor."""
    return hasattr(value, "__array__") or _is_torch(value)


def _is_torch(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "cpu")


def of_array(value: Any, order: Order | None = None) -> Picture:
    """The picture of an array or tensor, as a copy of its own.

    Args:
        value: an array or tensor, see the module.
        order: the order of its channels where it is another one.

    Raises:
        ImageError: it is no picture; the message says what it was and what would fit.
    """
    numbers = _numbers(value)
    told = f"an array {list(numbers.shape)} of {numbers.dtype}"
    if not isinstance(value, np.ndarray):
        return _picture(_of_tensor_layout(_eight_bits(numbers, told), told), order or "rgb")
    if numbers.dtype.kind == "f":
        raise _not_an_image(told, _NUMPY)
    return _picture(_of_numpy_layout(_eight_bits(numbers, told), told), order or "bgr")


def _numbers(value: Any) -> NDArray[Any]:
    """The numbers of an array or tensor, wherever it lies and whatever its gradients."""
    try:
        if not _is_torch(value):
            return np.asarray(value)
        here = value.detach().cpu()
        return np.asarray(here.float() if here.is_floating_point() else here)  # numpy knows no bfloat16
    except Exception as error:  # of which type, is up to the library
        raise ImageError(f"{a(value)} cannot be read as an array: {error}") from error


def _of_numpy_layout(array: Pixels, told: str) -> Pixels:
    """An array as `[height, width]` or `[height, width, channels]`."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS):
        return array
    if array.ndim == 3 and array.shape[0] == 1:
        return array.reshape(array.shape[1], array.shape[2])
    first = array.ndim == 3 and array.shape[0] == 3
    raise _not_an_image(told, f"{_NUMPY}; .transpose(1, 2, 0) moves its channels there" if first else _NUMPY)


def _of_tensor_layout(array: Pixels, told: str) -> Pixels:
    """A tensor as `[height, width, channels]`."""
    first, last = (array.ndim == 3 and array.shape[axis] in _CHANNELS for axis in (0, 2))
    if first and last:
        both = "its channels may be the first or the last dimension"
        raise ImageError(f"{told}: {both}; a PIL image, or an array of numpy in BGR, would fit")
    if first:
        return np.asarray(array.transpose(1, 2, 0))
    if last:
        return array
    raise _not_an_image(told, _TENSOR)


def _not_an_image(told: str, fitting: str) -> ImageError:
    return ImageError(f"{told} is not an image; {fitting}")


def _eight_bits(array: NDArray[Any], told: str) -> Pixels:
    """The numbers as `uint8`."""
    if array.size == 0:
        raise ImageError(f"{told} holds no pixels")
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return np.where(array, 255, 0).astype(np.uint8)
    if kind == "u" and array.dtype.itemsize == 2:
        return (array >> 8).astype(np.uint8)
    if kind not in "iuf":
        raise _not_an_image(told, "uint8 would fit")
    low, high = float(array.min()), float(array.max())
    if kind == "f" and low >= -_HALF_A_LEVEL and high <= 1 + _HALF_A_LEVEL:
        return np.rint(array * 255.0).clip(0, 255).astype(np.uint8)
    if kind != "f" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    fitting = "fractions within 0 and 1, or uint8 with 0 to 255" if kind == "f" else "0 to 255, or uint16 with 0 to 65535"
    raise _not_an_image(told, f"it holds {low:g} to {high:g}; {fitting}, would fit")


def _picture(pixels: Pixels, order: Order) -> Picture:
    """A picture of its own memory, of `uint8` `[height, width]` or `[height, width, channels]`."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 1:
        grey = pixels.reshape(*pixels.shape[:2], 1)
        return Picture(np.repeat(grey, 3, axis=2))
    own = np.array(pixels if order == "bgr" else pixels[:, :, [2, 1, 0, 3][:channels]], order="C")
    return of_bgra(own) if channels == 4 else Picture(own)
