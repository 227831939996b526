"""The boxes of vision-language models: what each model means by its numbers, in pixels of the image that was asked about.

| model | a detection | its numbers |
|---|---|---|
| `google-gemini` | `box_2d` `[y1, x1, y2, x2]`, or `x_min` ... `y_max` | thousandths of the image; shares of it |
| `openai` | `box_2d` `[x1, y1, x2, y2]`, or `x_min` ... `y_max` | pixels of the image as it was sent, at most 2048; shares |
| `anthropic-claude` | the same | pixels of the image as Claude sees it; shares |
| `qwen`, `zai`, `zai-flash` | `box_2d` or `bbox_2d` `[x1, y1, x2, y2]` | thousandths |
| `muse` | `x_min` ... `y_max` | thousandths |
| `spacexai` | `box_2d` `[x1, y1, x2, y2]` | hundredths |

Answers are lists of detections, or objects with the list under `detections`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from florence_blocks.names import ClassList, cleaned
from workflow_engine.checked import number
from workflow_engine.detection_rows import Box, ordered
from workflow_engine.detections import object_array
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")

Size = tuple[int, int]
"""Width and height."""

_EDGES: Final = ("x_min", "y_min", "x_max", "y_max")
_LABELS: Final = ("class_name", "label", "class")

LONGEST_SENT: Final = 2048
"""The longest side of an image as the other runtime sends it to OpenAI's models."""
_CLAUDE_TILE: Final = 28
_CLAUDE_LONGEST: Final = 2576
_CLAUDE_TILES: Final = 4784
"""How Claude sees an image: in tiles of 28 pixels, at most so long and so many."""


def shrunk(size: Size) -> Size:
    """The size of an image as OpenAI's models are sent it."""
    longest = max(size)
    if longest <= LONGEST_SENT:
        return size
    width, height = (LONGEST_SENT if side == longest else max(round(side * LONGEST_SENT / longest), 1) for side in size)
    return width, height


def seen_by_claude(size: Size) -> Size:
    """The size of an image as Claude sees it: the largest of its shape that fits its tiles."""
    width, height = size
    if _fits_claude(size):
        return size
    if height > width:
        high, wide = seen_by_claude((height, width))
        return wide, high
    low, above, shape = 1, width, width / height
    while low + 1 < above:
        middle = (low + above) // 2
        fits = _fits_claude((middle, max(round(middle / shape), 1)))
        low, above = (middle, above) if fits else (low, middle)
    return low, max(round(low / shape), 1)


def _fits_claude(size: Size) -> bool:
    across, down = (math.ceil(side / _CLAUDE_TILE) for side in size)
    return max(across, down) * _CLAUDE_TILE <= _CLAUDE_LONGEST and across * down <= _CLAUDE_TILES


# ------------------------------------------------------------------ the numbers of one detection


def _list(row: Mapping[str, Any], *keys: str) -> list[float]:
    """The four numbers under the first key that a detection has."""
    key = next((key for key in keys if key in row), keys[0])
    x1, y1, x2, y2 = row[key]
    return [number(value, key) for value in (x1, y1, x2, y2)]


def _named(row: Mapping[str, Any]) -> list[float]:
    return [number(row[key], key) for key in _EDGES]


def _of_view(numbers: Sequence[float], view: tuple[float, float], size: Size, *, cut: bool = True) -> Box:
    """Corners on a view of the image, such as one of 1000 x 1000, on the image itself; cut to it where they lie outside."""
    scaled = []
    for place, value in enumerate(numbers):
        side = view[place % 2]
        # in the order in which the other runtime reckons, so that what is rounded is the same
        length = size[place % 2]
        scaled.append(min(max(value, 0.0), side) * (length / side) if cut else value / side * length)
    x1, y1, x2, y2 = scaled
    return ordered(x1, y1, x2, y2)


def _gemini(row: Mapping[str, Any], size: Size) -> Box:
    if "box_2d" not in row:
        return _of_view(_named(row), (1, 1), size, cut=False)
    y1, x1, y2, x2 = _list(row, "box_2d")
    return _of_view((x1, y1, x2, y2), (1000, 1000), size, cut=False)


def _openai(row: Mapping[str, Any], size: Size) -> Box:
    return _pixels(row, shrunk(size), size)


def _claude(row: Mapping[str, Any], size: Size) -> Box:
    return _pixels(row, seen_by_claude(size), size)


def _pixels(row: Mapping[str, Any], view: Size, size: Size) -> Box:
    if "box_2d" in row:
        return _of_view(_list(row, "box_2d"), view, size)
    return _of_view(_named(row), (1, 1), size, cut=False)


def _thousandths(row: Mapping[str, Any], size: Size) -> Box:
    return _of_view(_list(row, "box_2d", "bbox_2d"), (1000, 1000), size)


def _named_thousandths(row: Mapping[str, Any], size: Size) -> Box:
    return _of_view(_named(row), (1000, 1000), size)


def _hundredths(row: Mapping[str, Any], size: Size) -> Box:
    inside = [min(max(value, 0.0), 100.0) for value in _list(row, "box_2d")]
    return _of_view(inside, (100, 100), size, cut=False)


# ------------------------------------------------------------------ models


@dataclass(frozen=True)
class Model:
    """How a model answers.

    Attributes:
        box: the corners of a detection on an image of a size.
        labels: where the class of a detection stands, the likeliest first.
        lenient: whether a detection without a box is left out; else the whole answer is of another shape.
        single: whether one detection alone is an answer.
        cut_off: whether the whole detections of an answer that was cut off count.
    """

    box: Callable[[Mapping[str, Any], Size], Box]
    labels: tuple[str, ...] = _LABELS
    lenient: bool = False
    single: bool = False
    cut_off: bool = False


_QWEN: Final = Model(_thousandths, ("label", "description", "class_name", "class"), lenient=True, single=True)
MODELS: Final[Mapping[str, Model]] = {
    "google-gemini": Model(_gemini),
    "anthropic-claude": Model(_claude),
    "openai": Model(_openai),
    "spacexai": Model(_hundredths),
    "qwen": _QWEN,
    "zai": _QWEN,
    "zai-flash": _QWEN,
    "muse": Model(_named_thousandths, ("label",), lenient=True, single=True, cut_off=True),
}


def share(value: Any) -> float:
    """A confidence that a model wrote, as a number or as text, between 0 and 1.

    Raises:
        ValueError, TypeError: it is no number.
    """
    return min(max(number(float(value), "confidence"), 0.0), 1.0)


def is_detection(row: Any) -> bool:
    """Whether an object has the four edges of a box, each under its name."""
    return isinstance(row, Mapping) and all(key in row for key in _EDGES)


def boxes_of(model: Model, answer: Any, classes: Sequence[str], size: Size) -> sv.Detections:
    """The detections of an answer, rounded to pixels; a class that is none of those asked for has the id -1.

    A detection without a confidence has 1.0, as in the other runtimes of the language: these models seldom give any.

    Raises:
        ValueError, TypeError, KeyError: the answer is of another shape.
    """
    found = [(box, row) for row in _rows(model, answer) if (box := _box(model, row, size)) is not None]
    names = [_name(model, row) for _, row in found]
    numbers = ClassList.of(classes).places
    scores = [1.0 if model.lenient else share(row.get("confidence", 1.0)) for _, row in found]
    return sv.Detections(
        xyxy=np.array([box for box, _ in found], float).reshape(-1, 4).round(),
        confidence=np.array(scores, float),
        class_id=np.array([numbers.get(name, -1) for name in names], int),
        data={"class_name": object_array(names)},
    )


def _name(model: Model, row: Mapping[str, Any]) -> str:
    """The class of a detection."""
    said = (cleaned(str(row[key])) for key in model.labels if row.get(key) is not None)
    return next(filter(None, said), "unknown")


def _rows(model: Model, answer: Any) -> list[Any]:
    if isinstance(answer, Mapping):
        alone = model.single and (is_detection(answer) or "box_2d" in answer or "bbox_2d" in answer)
        answer = [answer] if alone and "detections" not in answer else answer["detections"]
    if not isinstance(answer, list):
        raise TypeError("no list of detections")
    return answer


def _box(model: Model, row: Any, size: Size) -> Box | None:
    """The box of a detection; None where a lenient model gives none."""
    try:
        return model.box(row, size)
    except (ValueError, TypeError, KeyError):
        if model.lenient:
            return None
        raise
