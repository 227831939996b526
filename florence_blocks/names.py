"""Names of classes as callers give them: cleaned in one place, with class ids that are places in the list that was given."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator

from workflow_engine.errors import a

MOST_NAMES: Final = 10_000
"""The most names of one list."""

_BLANKS: Final = "\\s\ufeff\u200b\u2060"
_AROUND: Final = re.compile(f"^[{_BLANKS}]+|[{_BLANKS}]+$")


@lru_cache(4096)
def cleaned(name: str) -> str:
    """A name without blanks around it, accents and letters composed (Unicode's NFC)."""
    return _AROUND.sub("", unicodedata.normalize("NFC", name))


def listed(names: Iterable[object]) -> tuple[object, ...]:
    """The entries of any list of names, a generator's too; those of a set, which has no order, sorted.

    Raises:
        ValueError: it is no list, or too long.
    """
    if isinstance(names, (str, bytes)):
        text = names.decode(errors="replace") if isinstance(names, bytes) else str(names)
        parts = [cleaned(part) for part in text.split(",")]
        raise ValueError(f"a list of classes is needed, not one text; {parts[:5]!r} would fit")
    if not isinstance(names, Iterable) or getattr(names, "ndim", 1) == 0:
        raise ValueError(f"a list of classes is needed, not {a(names)}")
    entries = tuple(sorted(names, key=str) if isinstance(names, (set, frozenset)) else names)
    if len(entries) > MOST_NAMES:
        raise ValueError(f"the list has {len(entries)} classes; at most {MOST_NAMES} fit")
    return entries


@dataclass(frozen=True)
class ClassList:
    """A list of class names.

    Attributes:
        places: its names, each once, with their first place in the list that was given.
        size: how many entries were given.
    """

    places: Mapping[str, int] = field(default_factory=dict)
    size: int = 0

    @classmethod
    def of(cls, names: Iterable[object]) -> ClassList:
        """The names of a list, cleaned; those of blanks alone are left out, and keep their place.

        Raises:
            ValueError: something in it is no text.
        """
        entries = listed(names)
        places: dict[str, int] = {}
        for place, entry in enumerate(entries):
            if not isinstance(entry, str):
                raise ValueError(f"classes[{place}] is {a(entry)}, {repr(entry)[:40]}; a text would fit")
            name = cleaned(str(entry))
            if name:
                places.setdefault(name, place)
        return cls(places, len(entries))

    @property
    def names(self) -> tuple[str, ...]:
        """The names, each once, in their order."""
        return tuple(self.places)

    def ids(self, labels: Sequence[str]) -> list[int]:
        """The class ids of labels: places in the list; labels that are not in it are numbered behind it as they come."""
        numbers = dict(self.places)
        behind = self.size
        for label in labels:
            if label not in numbers:
                numbers[label] = behind
                behind += 1
        return [numbers[label] for label in labels]


ClassName = Annotated[str, AfterValidator(cleaned)]
"""A name in a field of a block that compares by name; detections are compared by their `cleaned` names."""
