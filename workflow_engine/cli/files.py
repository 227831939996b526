"""Images of results to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workflow_engine.data import Image


class ImageFolder:
    """Writes the images of results as PNG files with names of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, str] = {}
        self._used: dict[str, int] = {}

    def reserve(self, source: str, name: str) -> None:
        """Give a source the name that it had before."""
        self._names[source] = name
        self._used[name.casefold()] = 1

    def keep(self, value: Any, source: str, output: str) -> Any:
        """The value with every image in it written to a file, whose name stands in its place."""
        return self._keep(value, f"{self.name(source)}.{output}")

    def _keep(self, value: Any, name: str) -> Any:
        if isinstance(value, Image):
            file = f"{name}.png"
            (self.folder / file).write_bytes(value.png())
            return file
        if isinstance(value, list):
            return [self._keep(item, f"{name}.{place}") for place, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._keep(item, f"{name}.{key}") for key, item in value.items()}
        return value

    def name(self, source: str) -> str:
        """A name for a source: its stem, numbered where another source has the same one, in whatever folder."""
        if source not in self._names:
            stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(source).stem)[:80] or "result"
            number, name = self._used.get(stem.casefold(), 0), stem
            while number and (name := f"{stem}_{number + 1}").casefold() in self._used:
                number += 1
            self._used[stem.casefold()] = number + 1
            self._used.setdefault(name.casefold(), 1)
            self._names[source] = name
        return self._names[source]
