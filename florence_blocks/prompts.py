"""The sentence that a task asks the model, with its phrase, classes, region or text filled in.

Texts of users cannot smuggle in special tokens: `<loc_5>`, `</s>` and their like inside a phrase would change what the model
is asked without anyone seeing it, so they are refused. The free prompt alone is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from florence_blocks.locations import Size, box_tokens
from florence_blocks.names import ClassList, cleaned
from florence_blocks.tasks import Needs, Task

_SPECIAL: Final = re.compile(r"</?(?:s|pad|unk|mask|sep|poly|and|image|od|ocr|cap|ncap|dcap|grounding|seg|loc_\d+)>")
_HALF: Final = re.compile("[\ud800-\udfff]")
_CLASS_JOINT: Final = "<and>"
MOST_CHARACTERS: Final = 100_000
"""The longest text that is cut into tokens at all, to see whether it fits."""

_NAMING: Final = frozenset({"object_detection", "open_vocabulary_detection", "phrase_grounding", "region_classification"})


class PromptError(ValueError):
    """A task did not get what its prompt needs, or got something else."""


def build_prompt(
    task: Task,
    *,
    phrase: str | None = None,
    classes: Sequence[str] | None = None,
    region: Sequence[float] | None = None,
    text: str | None = None,
    size: Size | None = None,
) -> str:
    """The prompt of a task.

    Args:
        task: the task.
        phrase: what to ground or to outline, where the task needs a phrase.
        classes: the names to look for, where the task needs classes.
        region: a box (x1, y1, x2, y2) in pixels, where the task needs a region.
        text: the whole prompt, for the free prompt.
        size: width and height of the image in pixels; needed with a region.

    Raises:
        PromptError: something the task needs is missing or empty, or something it has no place for is given.
    """
    given = {Needs.PHRASE: phrase, Needs.CLASSES: classes, Needs.REGION: region, Needs.TEXT: text}
    for needs, value in given.items():
        if value is not None and needs is not task.needs:
            raise PromptError(f"`{task.name}` has no place for `{needs.value}`; it needs {task.needs.value}")
    if task.needs is Needs.NOTHING:
        return task.prompt
    if given[task.needs] is None:
        raise PromptError(f"`{task.name}` needs `{task.needs.value}`")
    if task.needs is Needs.REGION:
        return task.prompt.format(region=_region(task, region, size))
    if task.needs is Needs.CLASSES:
        names = class_list(task, classes or ()).names
        return task.prompt.format(classes=_CLASS_JOINT.join(_clean(task, "classes", name) for name in names))
    if task.needs is Needs.PHRASE:
        return task.prompt.format(phrase=_clean(task, "phrase", phrase))
    return _not_blank(task, "text", text)


def class_list(task: Task, names: Iterable[object]) -> ClassList:
    """The names that are asked about, cleaned.

    Raises:
        PromptError: it is no list of names, or there is nothing in it.
    """
    try:
        found = ClassList.of(names)
    except ValueError as error:
        raise PromptError(f"`{task.name}`: {error}") from None
    if not found.places:
        raise PromptError(f"`{task.name}` needs at least one class")
    return found


def check_names(task: Task, names: Sequence[str]) -> None:
    """See that a list of names fits a task.

    Raises:
        PromptError: the answers of the task hold no names, or one of these cannot be given.
    """
    if task.name not in _NAMING:
        raise PromptError(f"the answers of `{task.name}` are not limited to names; those of {', '.join(sorted(_NAMING))} are")
    for name in names:
        _clean(task, "classes", name)


def _region(task: Task, region: Sequence[float] | None, size: Size | None) -> str:
    if size is None:
        raise PromptError(f"`{task.name}` needs the size of the image beside its region")
    try:
        tokens = box_tokens(region or (), size)
    except (ValueError, TypeError, OverflowError):
        said = f"`{task.name}`: {repr(region)[:80]} is no region; a box (x1, y1, x2, y2) of four finite numbers would fit"
        raise PromptError(said) from None
    x1, y1, x2, y2 = (float(value) for value in region or ())
    said, (width, height) = f"`{task.name}`: the region {[x1, y1, x2, y2]}", size
    if x1 == x2 or y1 == y2:
        raise PromptError(f"{said} has no area; a box [x1, y1, x2, y2] in pixels would fit")
    if max(x1, x2) <= 0 or max(y1, y2) <= 0 or min(x1, x2) >= width or min(y1, y2) >= height:
        raise PromptError(f"{said} lies outside of the {width}x{height} image")
    return tokens


def _clean(task: Task, what: str, value: object) -> str:
    text = _not_blank(task, what, value)
    special = _SPECIAL.search(text)
    if special:
        raise PromptError(f"`{task.name}`: `{special[0]}` inside `{what}` is a token of the model and cannot be asked for")
    return text


def _not_blank(task: Task, what: str, value: object) -> str:
    if not isinstance(value, str):
        raise PromptError(f"`{task.name}` needs `{what}` as text, not a {type(value).__name__}")
    if len(value) > MOST_CHARACTERS:
        raise PromptError(f"`{task.name}`: `{what}` has {len(value)} characters; no more than {MOST_CHARACTERS} fit")
    if _HALF.search(value):
        raise PromptError(f"`{task.name}`: `{what}` holds half a character (a lone surrogate), which is no text")
    if not cleaned(value):
        raise PromptError(f"`{task.name}` needs `{what}`, and it is empty")
    return value.strip()
