"""From the tokens of an answer to typed values, one reader per grammar.

The answer is cut into runs first: text, locations, separators. The readers work on runs, never on regular expressions over
the whole text, so that names may hold any character (newlines, accents, Chinese) and no location is ever read as a name.
Nothing raises: whatever a model writes gives an `Answer` with all that is whole in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from florence_blocks.answers import Answer, Instance, Point, Span
from florence_blocks.locations import Box, Size, bin_of, to_pixel
from florence_blocks.tasks import Grammar, Task

_PIECE: Final = re.compile(r"<loc_\d{1,3}>|</?(?:s|pad|sep|poly|unk|mask|image)>")
SILENT: Final = frozenset({"<s>", "</s>", "<pad>", "<unk>", "<mask>", "<image>"})
"""Tokens that are no part of any answer."""
_MARKS: Final = frozenset({"<sep>", "<poly>", "</poly>"})
_NO_OBJECT: Final = "no object detected."

BANNED_PHRASES: Final = frozenset({
    "it", "I", "me", "mine", "you", "your", "yours", "he", "him", "his", "she", "her", "hers", "they", "them", "their",
    "theirs", "one", "oneself", "we", "us", "our", "ours", "this", "that", "these", "those", "who", "whom", "whose",
    "what", "which", "why", "how", "an image", "image", "images", "the image", "a photo", "the photo", "a picture",
    "the picture", "an illustration", "the illustration",
})  # fmt: skip
"""Phrases that name no thing in the image; grounding drops them, to the letter, as the published processors do."""


@dataclass(frozen=True)
class _Run:
    """A stretch of the answer of one sort: `text`, `locations`, or a mark (then `kind` is the mark)."""

    kind: str
    text: str
    bins: tuple[float, ...]
    start: int
    stop: int


def pieces(text: str) -> list[str]:
    """Split a text with special tokens into pieces, one per special token and one per stretch of text between."""
    cut, at = [], 0
    for match in _PIECE.finditer(text):
        cut += [text[at : match.start()], match[0]]
        at = match.end()
    return [piece for piece in [*cut, text[at:]] if piece]


def parse(
    task: Task, tokens: Sequence[str], size: Size, *, truncated: bool = False, offsets: Sequence[float] | None = None
) -> Answer:
    """Read an answer.

    Args:
        task: what was asked.
        tokens: the text of every generated token, special tokens included; `pieces` makes such a list from a string.
        size: width and height of the image in pixels.
        truncated: whether the generation was cut at its token limit.
        offsets: how many bins each location is off the centre of its bin; None for not at all.
    """
    runs = list(_runs(tokens, offsets))
    reader = _READERS[task.grammar]
    instances, whole = reader(runs, size)
    if task.name == "phrase_grounding":
        instances = [instance for instance in instances if instance.label not in BANNED_PHRASES]
    text = _text(runs) if task.grammar in (Grammar.TEXT, Grammar.REGION_TEXT) else _names(instances)
    return Answer(task.name, text, tuple(instances), truncated or not whole, "".join(tokens))


def _runs(tokens: Sequence[str], offsets: Sequence[float] | None) -> Iterator[_Run]:
    """Neighbouring tokens of one sort as one run; begin, end and padding tokens are in none."""
    kind, text, start, stop = "", "", 0, 0
    bins: list[float] = []
    for index, token in enumerate(tokens):
        if token in SILENT:
            continue
        bin_ = bin_of(token)
        sort = token if token in _MARKS else "text" if bin_ is None else "locations"
        if kind and (sort != kind or sort in _MARKS):
            yield _Run(kind, text, tuple(bins), start, stop)
            kind = ""
        if not kind:
            kind, text, bins, start = sort, "", [], index
        stop = index + 1
        if bin_ is None:
            text += token
        else:
            bins.append(bin_ if offsets is None else bin_ + offsets[index])
    if kind:
        yield _Run(kind, text, tuple(bins), start, stop)


def _text(runs: Sequence[_Run]) -> str:
    return "".join(run.text for run in runs if run.kind == "text").strip()


def _names(instances: Sequence[Instance]) -> str:
    return ", ".join(instance.label for instance in instances if instance.label)


# ------------------------------------------------------------------ geometry


def _points(bins: Sequence[float], size: Size) -> tuple[Point, ...]:
    """Locations in pairs as points; an odd one at the end is left out."""
    return tuple((to_pixel(x, size[0]), to_pixel(y, size[1])) for x, y in zip(bins[::2], bins[1::2], strict=False))


def _hull(points: Sequence[Point]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


# ------------------------------------------------------------------ readers


def _read_text(runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    return [], True


def _read_region_text(runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    """Text about a region; the box it may echo belongs to the instance, not to the text."""
    label = _text(runs)
    for run in runs:
        if run.kind == "locations" and len(run.bins) >= 4 and label.lower() != _NO_OBJECT:
            span = next(((r.start, r.stop) for r in runs if r.kind == "text"), (run.start, run.start))
            return [Instance(label, _hull(_points(run.bins[:4], size)), None, (), span, (run.start, run.start + 4))], True
    return [], True


def _labelled(runs: Sequence[_Run]) -> Iterator[tuple[str, Span, _Run]]:
    """Every run of locations with the text in front of it; locations without text have an empty label."""
    label, span = "", (0, 0)
    for run in runs:
        if run.kind == "text":
            label, span = run.text.strip(), (run.start, run.stop)
        elif run.kind == "locations":
            yield label, span if label else (run.start, run.start), run
        if run.kind == "locations":
            label = ""


def _read_groups(runs: Sequence[_Run], size: Size, group: int) -> tuple[list[Instance], bool]:
    """Labels, each with groups of so many locations: boxes (4) or quads (8). A group that is not whole is left out."""
    instances, whole = [], True
    for label, span, run in _labelled(runs):
        for first in range(0, len(run.bins) - group + 1, group):
            points = _points(run.bins[first : first + group], size)
            place = (run.start + first, run.start + first + group)
            instances.append(Instance(label, _hull(points), points if group == 8 else None, (), span, place))
        whole = whole and len(run.bins) % group == 0
    return instances, whole


def _read_boxes(runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    instances, whole = _read_groups(runs, size, 4)
    return instances, whole and not (runs and runs[-1].kind == "text" and instances)


def _read_quads(runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    instances, whole = _read_groups(runs, size, 8)
    return instances, whole and not (runs and runs[-1].kind == "text" and instances)


def _outlines(runs: Sequence[_Run], size: Size) -> tuple[tuple[tuple[Point, ...], ...], bool]:
    """The polygons of some runs; those of fewer than three points are left out."""
    read = [(_points(run.bins, size), len(run.bins)) for run in runs if run.kind == "locations"]
    return tuple(points for points, _ in read if len(points) >= 3), all(count % 2 == 0 for _, count in read)


def _outlined(label: str, span: Span, runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    """One instance of all the polygons of some runs, or none."""
    outlines, whole = _outlines(runs, size)
    if not outlines:
        return [], whole
    hull = _hull([point for outline in outlines for point in outline])
    return [Instance(label, hull, None, outlines, span, (runs[0].start, runs[-1].stop))], whole


def _read_outlines(runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    """Polygons joined by `<sep>`: all of them are one instance, with the text in front as its label."""
    places = [run for run in runs if run.kind == "locations"]
    named = next((run for run in runs if run.kind == "text" and places and run.start < places[0].start), None)
    span = (named.start, named.stop) if named else (0, 0)
    return _outlined(named.text.strip() if named else "", span, places, size)


def _read_boxes_or_outlines(runs: Sequence[_Run], size: Size) -> tuple[list[Instance], bool]:
    """Labels with boxes, or with one instance per `<poly>...</poly>`."""
    if not any(run.kind in ("<poly>", "</poly>") for run in runs):
        return _read_boxes(runs, size)
    instances: list[Instance] = []
    whole, label, span = True, "", (0, 0)
    inside: list[_Run] | None = None
    for run in [*runs, _Run("</poly>", "", (), len(runs), len(runs))]:
        if run.kind == "text":
            label, span = run.text.strip(), (run.start, run.stop)
        elif run.kind == "<poly>":
            inside = []
        elif run.kind == "locations" and inside is not None:
            inside.append(run)
        elif run.kind == "locations":
            found, complete = _read_groups([_Run("text", label, (), *span), run], size, 4)
            instances, whole = instances + found, whole and complete
        elif run.kind == "</poly>" and inside:
            found, complete = _outlined(label, span, inside, size)
            instances, whole, inside = instances + found, whole and complete, None
    closed = [run.kind for run in runs if run.kind in ("<poly>", "</poly>")][-1] == "</poly>"
    return instances, whole and closed


_READERS: Final[Mapping[Grammar, Callable[[Sequence[_Run], Size], tuple[list[Instance], bool]]]] = {
    Grammar.TEXT: _read_text,
    Grammar.REGION_TEXT: _read_region_text,
    Grammar.BOXES: _read_boxes,
    Grammar.PROPOSALS: _read_boxes,
    Grammar.QUADS: _read_quads,
    Grammar.OUTLINES: _read_outlines,
    Grammar.BOXES_OR_OUTLINES: _read_boxes_or_outlines,
}
