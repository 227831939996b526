"""The sentence that a task asks the model, with its phrase, classes, region or text filled in.

Texts of users cannot smuggle in special tokens: `<loc_5>`, `</s>` and their like inside a phrase would change what the model
is asked without anyone seeing it, so they are refused. The free prompt alone is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from florence_blocks.locations import Size, box_tokens
from florence_blocks.tasks import Needs, Task

_SPECIAL: Final = re.compile(r"</?(?:s|pad|unk|mask|sep|poly|and|image|od|ocr|cap|ncap|dcap|grounding|seg|loc_\d+)>")
_CLASS_JOINT: Final = "<and>"


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
        return task.prompt.format(classes=_classes(task, classes or ()))
    if task.needs is Needs.PHRASE:
        return task.prompt.format(phrase=_clean(task, "phrase", phrase))
    return _not_blank(task, "text", text)


def check_names(task: Task, names: Sequence[str]) -> None:
    """See that a list of names fits a task.

    Raises:
        PromptError: the answers of the task hold no names, or the list is empty or holds something else than names.
    """
    if task.name not in _NAMING:
        raise PromptError(f"the answers of `{task.name}` are not limited to names; those of {', '.join(sorted(_NAMING))} are")
    _classes(task, names)


def _region(task: Task, region: Sequence[float] | None, size: Size | None) -> str:
    if size is None:
        raise PromptError(f"`{task.name}` needs the size of the image beside its region")
    try:
        return box_tokens(region or (), size)
    except (ValueError, TypeError) as error:
        raise PromptError(f"`{task.name}`: {error}") from None


def _classes(task: Task, classes: Sequence[str]) -> str:
    if isinstance(classes, str):
        raise PromptError(f"`{task.name}` needs a list of classes, not one text; [{classes!r}] would fit")
    names = [_clean(task, "classes", name) for name in classes]
    if not names:
        raise PromptError(f"`{task.name}` needs at least one class")
    return _CLASS_JOINT.join(dict.fromkeys(names))


def _clean(task: Task, what: str, value: object) -> str:
    text = _not_blank(task, what, value)
    special = _SPECIAL.search(text)
    if special:
        raise PromptError(f"`{task.name}`: `{special[0]}` inside `{what}` is a token of the model and cannot be asked for")
    return text


def _not_blank(task: Task, what: str, value: object) -> str:
    if not isinstance(value, str):
        raise PromptError(f"`{task.name}` needs `{what}` as text, not a {type(value).__name__}")
    if not value.strip():
        raise PromptError(f"`{task.name}` needs `{what}`, and it is empty")
    return value.strip()
