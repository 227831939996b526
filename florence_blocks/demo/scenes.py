"""Drawn scenes with known contents: coloured shapes and short words on varied backgrounds.

The same seed gives the same scene. A scene is well posed: nothing overlaps, shapes have an order from left to right and
words one from top to bottom, so that every task of Florence-2 has one right answer. Tests, examples, benchmarks, training
and evaluation all draw from here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

COLOURS: Final = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (235, 210, 40),
    "purple": (150, 60, 190),
    "orange": (245, 140, 30),
}
"""Colour names with their RGB values; drawn shapes differ from them by at most 15 per channel."""

CATEGORIES: Final = ("circle", "square", "triangle", "star")
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VOCABULARY: Final = (
    "STOP", "EXIT", "CAFE", "OPEN", "TAXI", "BUS", "SHOP", "HOTEL", "PARK", "BANK", "FOOD", "SALE", "ZOO", "GYM", "BAR",
    "INN", "SPA", "JAZZ", "MILK", "FISH", "BREAD", "QUIZ", "LIVE", "NEWS", "WEST", "EAST", "NORTH", "SOUTH", "KEY", "BOX",
    "VAN", "MAP", "LUCK", "PIZZA",
)  # fmt: skip
"""Words that signs would carry; the other half of the words are random letters, so that reading cannot be guessing."""

MAX_SHAPES: Final = 4
MAX_WORDS: Final = 2
_FIXED_POINT_BITS: Final = 4
_CAP_SHARE: Final = 0.7
"""How tall a capital letter of the font is, as a share of the font size."""

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """A drawn shape: its box (x1, y1, x2, y2) and its outline `[points, 2]`, both in pixels."""

    category: str
    colour: str
    box: Box
    outline: Floats

    @property
    def name(self) -> str:
        """Colour and category: "red circle"."""
        return f"{self.colour} {self.category}"

    def moved(self, x: float, y: float) -> Shape:
        """The same shape elsewhere, so many pixels to the right and down."""
        x1, y1, x2, y2 = self.box
        return replace(self, box=(x1 + x, y1 + y, x2 + x, y2 + y), outline=self.outline + np.array([x, y]))

    def paint(self, canvas: Pixels) -> None:
        """Draw it on an image, BGR `[height, width, 3]`, in its colour's plain shade."""
        scale = 1 << _FIXED_POINT_BITS  # OpenCV's (0, 0) is the centre of a pixel, ours its corner
        corners = np.round((self.outline - 0.5) * scale).astype(np.int32)
        cv2.fillPoly(canvas, [corners], COLOURS[self.colour][::-1], cv2.LINE_AA, _FIXED_POINT_BITS)


@dataclass(frozen=True)
class Word:
    """A drawn word: its box (x1, y1, x2, y2) and the centre of each letter `[letters, 2]`, in pixels."""

    text: str
    box: Box
    centres: Floats


@dataclass(frozen=True)
class Scene:
    """An image, BGR `uint8` `[height, width, 3]`, and what is on it: shapes from left to right, words from top to bottom."""

    image: Pixels
    shapes: tuple[Shape, ...]
    words: tuple[Word, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


def draw_scene(
    seed: int | np.random.Generator,
    *,
    width: int = 160,
    height: int = 160,
    shapes: int | None = None,
    words: int | None = None,
    close_up: bool = False,
) -> Scene:
    """Draw a scene.

    Args:
        seed: a number, or a generator that goes on.
        width: pixels; all sizes in a scene are shares of the shorter side.
        height: pixels.
        shapes: how many shapes to aim at, 0 to 4; fewer where there is no room. Drawn by lot when None.
        words: how many words to aim at, 0 to 2; likewise.
        close_up: whether to cut the scene around one of its shapes or words, as a crop step would. The image then has the
            size of that part.
    """
    rng = np.random.default_rng(seed)
    if not close_up:
        return _draw(rng, width, height, shapes, words)
    for _ in range(10):
        scene = _cut(rng, _draw(rng, width, height, shapes, words))
        if scene is not None:
            return scene
    return _draw(rng, width, height, shapes, words)


def _draw(rng: np.random.Generator, width: int, height: int, shapes: int | None, words: int | None) -> Scene:
    n_shapes = int(rng.choice(MAX_SHAPES + 1, p=(0.08, 0.23, 0.23, 0.23, 0.23))) if shapes is None else shapes
    n_words = int(rng.choice(MAX_WORDS + 1, p=(0.3, 0.4, 0.3))) if words is None else words
    if shapes is None and words is None and n_shapes + n_words == 0:
        n_words = 1
    dark = bool(rng.random() < 0.3)
    canvas = _background(rng, width, height, dark)
    taken: list[Box] = []
    drawn_words = [word for _ in range(n_words) if (word := _add_word(rng, canvas, taken, dark)) is not None]
    drawn_shapes: list[Shape] = []
    for _ in range(n_shapes):
        shape = _add_shape(rng, canvas, taken, drawn_shapes)
        if shape is not None:
            drawn_shapes.append(shape)
    return Scene(
        image=_with_noise(rng, canvas)[:, :, ::-1].copy(),
        shapes=tuple(sorted(drawn_shapes, key=lambda shape: shape.box[0] + shape.box[2])),
        words=tuple(sorted(drawn_words, key=lambda word: word.box[1] + word.box[3])),
    )


# ------------------------------------------------------------------ backgrounds


def _background(rng: np.random.Generator, width: int, height: int, dark: bool) -> Pixels:
    """A soft background, RGB: plain, gradient, stripes, checks or clouds, slightly tinted."""
    base = rng.uniform(15, 65) if dark else rng.uniform(165, 250)
    tint = rng.uniform(-12, 12, 3)
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.06, 0.3)
    along = x * np.cos(angle) + y * np.sin(angle)
    style = rng.integers(5)
    pattern: NDArray[Any]
    if style == 0:
        pattern = np.zeros((height, width))
    elif style == 1:
        pattern = along - along.mean()
    elif style == 2:
        pattern = np.sin(along * 2 * np.pi / period) / 2
    elif style == 3:
        pattern = np.where((np.floor(x / period) + np.floor(y / period)) % 2 == 0, 0.5, -0.5)
    else:
        coarse = rng.uniform(-1, 1, (5, 5)).astype(np.float32)
        pattern = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    field = base + rng.uniform(6, 22) * pattern
    return np.clip(field[:, :, None] + tint, 0, 255).astype(np.uint8)


def _with_noise(rng: np.random.Generator, canvas: Pixels) -> Pixels:
    noise = rng.normal(0, rng.uniform(0, 6), canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)


# ------------------------------------------------------------------ shapes


def _unit_outline(category: str) -> Floats:
    """The outline of a shape of radius one around the origin, `[points, 2]`."""
    if category == "circle":
        angles, radii = np.linspace(0, 2 * np.pi, 12, endpoint=False), np.ones(12)
    elif category == "square":
        angles, radii = np.pi / 4 + np.arange(4) * np.pi / 2, np.full(4, 1.15)
    elif category == "triangle":
        angles, radii = -np.pi / 2 + np.arange(3) * 2 * np.pi / 3, np.full(3, 1.15)
    else:
        angles, radii = -np.pi / 2 + np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2 == 0, 1.15, 0.5)
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


def _add_shape(rng: np.random.Generator, canvas: Pixels, taken: list[Box], others: list[Shape]) -> Shape | None:
    """Draw a shape where there is room, or nothing."""
    height, width = canvas.shape[:2]
    unit = min(width, height)
    category, colour = CATEGORIES[rng.integers(len(CATEGORIES))], list(COLOURS)[rng.integers(len(COLOURS))]
    for _ in range(30):
        radius = unit * np.exp(rng.uniform(np.log(0.07), np.log(0.2)))
        centre = rng.uniform([1.2 * radius] * 2, [width - 1.2 * radius, height - 1.2 * radius])
        outline = _unit_outline(category) * radius + centre
        box = _hull(outline)
        apart = all(abs(_middle(box, 0) - _middle(other.box, 0)) > 0.06 * width for other in others)
        if apart and _is_free(box, taken, 0.025 * unit):
            rgb = np.clip(np.array(COLOURS[colour]) + rng.integers(-15, 16, 3), 0, 255).tolist()
            _fill(canvas, category, outline, centre, radius, rgb)
            taken.append(box)
            return Shape(category, colour, box, outline)
    return None


def _fill(canvas: Pixels, category: str, outline: Floats, centre: Floats, radius: float, rgb: list[int]) -> None:
    scale = 1 << _FIXED_POINT_BITS  # OpenCV's (0, 0) is the centre of a pixel, ours its corner
    if category == "circle":
        x, y = (int((value - 0.5) * scale) for value in centre)
        cv2.circle(canvas, (x, y), int(radius * scale), rgb, -1, cv2.LINE_AA, _FIXED_POINT_BITS)
    else:
        cv2.fillPoly(canvas, [((outline - 0.5) * scale).astype(np.int32)], rgb, cv2.LINE_AA, _FIXED_POINT_BITS)


# ------------------------------------------------------------------ words


@lru_cache(maxsize=256)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font: the same letters on every machine, whatever its OpenCV draws."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _add_word(rng: np.random.Generator, canvas: Pixels, taken: list[Box], dark: bool) -> Word | None:
    """Write a word where there is room, or nothing."""
    height, width = canvas.shape[:2]
    unit = min(width, height)
    text = _random_text(rng)
    for _ in range(30):
        cap = unit * rng.uniform(0.11, 0.19)
        font, stroke = _font(round(cap / _CAP_SHARE)), int(rng.integers(0, 1 + max(1, round(cap / 20))))
        x1, y1, x2, y2 = font.getbbox(text, stroke_width=stroke)
        room = np.array([width - (x2 - x1) - 4, height - (y2 - y1) - 4])
        if room.min() <= 0:
            continue
        left, top = (rng.uniform(2, room + 2)).astype(int)
        box = (left - 1.0, top - 1.0, left + x2 - x1 + 1.0, top + y2 - y1 + 1.0)
        if _is_free(box, taken, 0.025 * unit) and all(abs(_middle(box, 1) - _middle(t, 1)) > 0.08 * height for t in taken):
            ink = rng.integers(200, 256, 3) if dark else rng.integers(0, 60, 3)
            _write(canvas, text, (left - x1, top - y1), font, stroke, ink)
            taken.append(box)
            edges = [left + font.getlength(text[:count]) for count in range(len(text) + 1)]
            centres = [((one + two) / 2, (box[1] + box[3]) / 2) for one, two in pairwise(edges)]
            return Word(text, box, np.array(centres))
    return None


def _write(
    canvas: Pixels, text: str, at: tuple[float, float], font: ImageFont.FreeTypeFont, stroke: int, ink: NDArray[np.int64]
) -> None:
    """Blend a text into the canvas."""
    layer = PilImage.new("L", (canvas.shape[1], canvas.shape[0]))
    ImageDraw.Draw(layer).text(at, text, fill=255, font=font, stroke_width=stroke)
    cover = np.asarray(layer, np.float32)[:, :, None] / 255
    canvas[:] = (canvas * (1 - cover) + ink * cover).astype(np.uint8)


def _random_text(rng: np.random.Generator) -> str:
    if rng.random() < 0.4:
        return str(VOCABULARY[rng.integers(len(VOCABULARY))])
    return "".join(LETTERS[k] for k in rng.integers(0, len(LETTERS), rng.integers(2, 6)))


# ------------------------------------------------------------------ geometry


def _hull(points: Floats) -> Box:
    (x1, y1), (x2, y2) = points.min(0), points.max(0)
    return float(x1), float(y1), float(x2), float(y2)


def _middle(box: Box, axis: int) -> float:
    return (box[axis] + box[axis + 2]) / 2


def _is_free(box: Box, taken: list[Box], margin: float) -> bool:
    return all(
        box[2] + margin < other[0] or other[2] + margin < box[0] or box[3] + margin < other[1] or other[3] + margin < box[1]
        for other in taken
    )


def _cut(rng: np.random.Generator, scene: Scene) -> Scene | None:
    """The part around one shape or word, or None where a neighbour would be cut in a way that leaves its name open."""
    things: list[Shape | Word] = [*scene.shapes, *scene.words]
    if not things:
        return None
    x1, y1, x2, y2 = things[rng.integers(len(things))].box
    pad_x, pad_y = rng.uniform(0.0, 0.4, 2) * (x2 - x1, y2 - y1)
    width, height = scene.size
    left, top = max(0, int(x1 - pad_x)), max(0, int(y1 - pad_y))
    right, bottom = min(width, int(np.ceil(x2 + pad_x))), min(height, int(np.ceil(y2 + pad_y)))
    view = (left, top, right, bottom)
    seen = [_visible(thing.box, view) for thing in things]
    if any(0.08 < share < 0.92 for share in seen):
        return None
    return Scene(
        image=scene.image[top:bottom, left:right].copy(),
        shapes=tuple(_shifted_shape(shape, view) for shape in scene.shapes if _visible(shape.box, view) > 0.5),
        words=tuple(_shifted_word(word, view) for word in scene.words if _visible(word.box, view) > 0.5),
    )


def _visible(box: Box, view: tuple[int, int, int, int]) -> float:
    """The share of a box that lies inside a view."""
    width = max(0.0, min(box[2], view[2]) - max(box[0], view[0]))
    height = max(0.0, min(box[3], view[3]) - max(box[1], view[1]))
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


def _shift(points: Floats, view: tuple[int, int, int, int]) -> Floats:
    return np.clip(points - view[:2], 0, (view[2] - view[0], view[3] - view[1]))


def _shifted_box(box: Box, view: tuple[int, int, int, int]) -> Box:
    return _hull(_shift(np.array(box).reshape(2, 2), view))


def _shifted_shape(shape: Shape, view: tuple[int, int, int, int]) -> Shape:
    return replace(shape, box=_shifted_box(shape.box, view), outline=_shift(shape.outline, view))


def _shifted_word(word: Word, view: tuple[int, int, int, int]) -> Word:
    return replace(word, box=_shifted_box(word.box, view), centres=_shift(word.centres, view))
