"""What a scene teaches: (prompt, answer) pairs for all 15 tasks, in the prompts and grammars of Florence-2.

Everything an answer says follows from the scene. Shapes are named from left to right, words from top to bottom; classes and
phrases in the order of the prompt. What is not there is left out, so that an answer may be empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from florence_blocks.demo.scenes import CATEGORIES, COLOURS, Box, Scene, Shape
from florence_blocks.tasks import TASKS

BINS: Final = 1000
NAMES: Final = tuple(f"{colour} {category}" for colour in COLOURS for category in CATEGORIES)
ALL_NAMES: Final = (*NAMES, *CATEGORIES)
WEIGHTS: Final = {
    "caption": 0.7, "detailed_caption": 0.6, "more_detailed_caption": 0.6, "object_detection": 1.4,
    "dense_region_caption": 0.9, "region_proposal": 0.8, "ocr": 1.4, "ocr_with_regions": 1.5, "phrase_grounding": 1.8,
    "open_vocabulary_detection": 1.8, "phrase_segmentation": 2.2, "region_segmentation": 1.6, "region_classification": 0.6,
    "region_caption": 0.7, "region_ocr": 1.4,
}  # fmt: skip
"""How often each task is asked in training."""
LATE_WEIGHTS: Final = {
    **WEIGHTS, "phrase_segmentation": 5.0, "region_segmentation": 3.0, "open_vocabulary_detection": 7.0,
    "phrase_grounding": 5.0, "region_proposal": 4.0, "ocr_with_regions": 3.0,
}  # fmt: skip
"""The same for the last stage, which is about what is learnt last: to find what a phrase names, outlines, and words."""


@dataclass(frozen=True)
class Pair:
    """One question about a scene and its answer, both as text with special tokens."""

    task: str
    prompt: str
    answer: str


def article(name: str) -> str:
    """A name with its article: "a red circle", "an orange star"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def enumeration(items: Sequence[str]) -> str:
    """Items as people list them: "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def locations(points: Sequence[float] | NDArray[np.float64], size: tuple[int, int]) -> str:
    """Location tokens of points in pixels, x and y in turn."""
    flat = np.asarray(points, np.float64).reshape(-1, 2) * BINS / np.array(size)
    return "".join(f"<loc_{value}>" for value in np.clip(np.floor(flat), 0, BINS - 1).astype(int).ravel())


def caption(scene: Scene) -> str:
    """The short caption: the shapes, or the words where there are none."""
    if scene.shapes:
        text = enumeration([article(shape.name) for shape in scene.shapes])
        return f"{text[0].upper()}{text[1:]}."
    words = enumeration([word.text for word in scene.words])
    return f"The word{'s' if len(scene.words) > 1 else ''} {words}."


def detailed_caption(scene: Scene) -> str:
    """The shapes and the text."""
    shapes = enumeration([article(shape.name) for shape in scene.shapes]) if scene.shapes else "no shapes"
    words = f"The text reads {enumeration([word.text for word in scene.words])}." if scene.words else "There is no text."
    return f"The image shows {shapes}. {words}"


def more_detailed_caption(scene: Scene) -> str:
    """Counts, order and text."""
    count = len(scene.shapes)
    if count == 0:
        shapes = "There are no shapes in the image."
    elif count == 1:
        shapes = f"There is 1 shape in the image. It is {article(scene.shapes[0].name)}."
    else:
        named = enumeration([article(shape.name) for shape in scene.shapes])
        shapes = f"There are {count} shapes in the image. From left to right they are {named}."
    words = enumeration([word.text for word in scene.words]) if scene.words else ""
    texts = ("There is no text.", f"There is 1 word, which reads {words}.", f"There are 2 words, which read {words}.")
    return f"{shapes} {texts[len(scene.words)]}"


def answer(task: str, scene: Scene) -> str:
    """The answer to a task that asks about the whole image."""
    size = scene.size
    boxes = [shape.box for shape in scene.shapes] + [word.box for word in scene.words]
    simple: dict[str, Callable[[], str]] = {
        "caption": lambda: caption(scene),
        "detailed_caption": lambda: detailed_caption(scene),
        "more_detailed_caption": lambda: more_detailed_caption(scene),
        "object_detection": lambda: "".join(shape.category + locations(shape.box, size) for shape in scene.shapes),
        "dense_region_caption": lambda: "".join(shape.name + locations(shape.box, size) for shape in scene.shapes),
        "region_proposal": lambda: "".join(locations(box, size) for box in boxes),
        "ocr": lambda: " ".join(word.text for word in scene.words),
        "ocr_with_regions": lambda: "".join(word.text + locations(_quad(word.box), size) for word in scene.words),
    }
    return simple[task]()


def _quad(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def named_by(scene: Scene, phrase: str) -> list[Shape]:
    """The shapes that a phrase names: "star", "red star", "a red star", "the star"."""
    words = phrase.lower().removeprefix("a ").removeprefix("an ").removeprefix("the ").rstrip(".").split()
    return [shape for shape in scene.shapes if words in ([shape.category], [shape.colour, shape.category])]


def located(scene: Scene, phrases: Sequence[str]) -> str:
    """Each phrase that names something, in front of each of its boxes; the others are left out.

    A phrase comes again for its next box, although the grammar lets one phrase own several: whether there is another box is
    then decided by a word, not by a location, whose probability is spread over many bins and loses against the end.
    """
    found = ((phrase, named_by(scene, phrase)) for phrase in dict.fromkeys(phrases))
    return "".join(phrase + locations(shape.box, scene.size) for phrase, shapes in found for shape in shapes)


def _some_name(scene: Scene, rng: np.random.Generator, present: float) -> str:
    """A name, with the given probability one of a shape that is there.

    Names of several shapes come often, and so do those that mix two shapes: "red star" beside a red circle and a blue star.
    """
    wanted = rng.random() < present
    names = [name for name in ALL_NAMES if bool(named_by(scene, name)) == wanted]
    several = [name for name in names if len(named_by(scene, name)) > 1]
    seen = {word for shape in scene.shapes for word in (shape.colour, shape.category)}
    mixed = [name for name in names if not wanted and seen.issuperset(name.split())]
    if (several or mixed) and rng.random() < 0.5:
        names = several or mixed
    return str((names or ALL_NAMES)[rng.integers(len(names or ALL_NAMES))])


def _phrase_grounding(scene: Scene, rng: np.random.Generator) -> Pair:
    if scene.shapes and rng.random() < 0.5:
        names = [article(shape.name) for shape in scene.shapes]
        if rng.random() < 0.4:
            names.insert(int(rng.integers(len(names) + 1)), article(NAMES[rng.integers(len(NAMES))]))
    else:
        name = _some_name(scene, rng, 0.6)
        names = [(article(name), f"the {name}", name)[rng.integers(3)]]
    if rng.random() < 0.5:
        names[0] = names[0][0].upper() + names[0][1:]
    text = enumeration(names) + ("." if rng.random() < 0.5 else "")
    return _pair("phrase_grounding", located(scene, names), phrase=text)


def _open_vocabulary_detection(scene: Scene, rng: np.random.Generator) -> Pair:
    names = list(dict.fromkeys(_some_name(scene, rng, 0.6) for _ in range(rng.integers(1, 4))))
    return _pair("open_vocabulary_detection", located(scene, names), classes="<and>".join(names))


def _phrase_segmentation(scene: Scene, rng: np.random.Generator) -> Pair | None:
    """A phrase that names one shape; what several answer to is no one's outline.

    None are absent: an outline begins with a location, whose probability is spread over many bins, so that the end token
    would win against all of them long before the model means it. The published models always outline something, too.
    """
    names = [name for name in ALL_NAMES if len(named_by(scene, name)) == 1]
    if not names:
        return None
    name = names[rng.integers(len(names))]
    outline = locations(named_by(scene, name)[0].outline, scene.size)
    return _pair("phrase_segmentation", outline, phrase=(article(name), f"the {name}", name)[rng.integers(3)])


def _jitter(box: Box, rng: np.random.Generator, size: tuple[int, int]) -> Box:
    """A box as a detector would give it: a little off."""
    x1, y1, x2, y2 = box
    noise = rng.normal(0, 0.04, 4) * (x2 - x1, y2 - y1, x2 - x1, y2 - y1)
    x1, y1, x2, y2 = np.clip(np.array(box) + noise, 0, np.tile(size, 2))
    return float(x1), float(y1), float(max(x2, x1 + 1)), float(max(y2, y1 + 1))


def _region(task: str, scene: Scene, rng: np.random.Generator) -> Pair | None:
    """A question about the region of a shape or a word; None where the scene has nothing to ask about."""
    shapes, words = list(scene.shapes), list(scene.words)
    wordy = {"region_ocr": 0.8, "region_classification": 0.15, "region_caption": 0.15, "region_segmentation": 0.0}[task]
    use_word = bool(words) and (rng.random() < wordy or (not shapes and wordy > 0))
    if use_word:
        word = words[rng.integers(len(words))]
        box, text = word.box, word.text if task == "region_ocr" else "word"
    elif shapes:
        shape = shapes[rng.integers(len(shapes))]
        outline = locations(shape.outline, scene.size)
        box = shape.box
        text = {"region_ocr": "", "region_classification": shape.category, "region_caption": shape.name,
                "region_segmentation": outline}[task]  # fmt: skip
    else:
        return None
    return _pair(task, text, region=locations(_jitter(box, rng, scene.size), scene.size))


def _pair(task: str, text: str, **holes: str) -> Pair:
    return Pair(task, TASKS[task].prompt.format(**holes), text)


def draw_pair(task: str, scene: Scene, rng: np.random.Generator) -> Pair | None:
    """A pair of one task; None where the scene has nothing for it."""
    if task.startswith("region_") and task != "region_proposal":
        return _region(task, scene, rng)
    drawn = {
        "phrase_grounding": _phrase_grounding,
        "open_vocabulary_detection": _open_vocabulary_detection,
        "phrase_segmentation": _phrase_segmentation,
    }.get(task)
    return drawn(scene, rng) if drawn else _pair(task, answer(task, scene))


def draw_pairs(scene: Scene, rng: np.random.Generator, count: int, weights: Mapping[str, float] = WEIGHTS) -> list[Pair]:
    """Pairs about a scene, drawn by the weights of their tasks; one task may come more than once, with other names."""
    shares = np.array(list(weights.values()))
    order = rng.choice(list(weights), size=4 * count, p=shares / shares.sum())
    pairs = (draw_pair(str(task), scene, rng) for task in order)
    return list(islice((pair for pair in pairs if pair is not None), count))
