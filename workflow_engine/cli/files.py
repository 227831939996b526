"""Images from the command line, and images to disk."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from workflow_engine.data import Image
from workflow_engine.errors import WorkflowError

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}


class SourceError(WorkflowError):
    """A file, folder or pattern gives no images."""


def find_images(sources: list[str], *, allow_urls: bool = False) -> list[Any]:
    """Files as they are, the images of folders (not of folders inside), the matches of patterns; in order.

    Raises:
        SourceError: a source gives nothing.
    """
    found: list[Any] = []
    for source in sources:
        path = Path(source)
        if source.startswith(("http://", "https://")):
            if not allow_urls:
                raise SourceError(f"`{source}` is a URL; --allow-urls lets images be fetched")
            found.append(source)
        elif path.is_dir():
            found += _some(sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES), source, "holds no images")
        elif path.exists():
            if path.suffix.lower() in VIDEO_SUFFIXES:
                raise SourceError(f"`{source}` is a video; --video {source} would read its frames")
            found.append(path)
        elif glob.has_magic(source):
            matches = sorted(Path(match) for match in glob.glob(source, recursive=True))  # noqa: PTH207 - absolute patterns
            found += _some([match for match in matches if match.is_file()], source, "matches no files")
        else:
            raise SourceError(f"`{source}` is no file, folder or pattern with matches")
    return found


def _some(paths: list[Path], source: str, nothing: str) -> list[Path]:
    if not paths:
        raise SourceError(f"`{source}` {nothing}")
    return paths


class ImageFolder:
    """Writes the images of results as PNG files with names of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, str] = {}
        self._used: dict[str, int] = {}

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
        """A name for a source: its stem, numbered where another source has the same one."""
        if source not in self._names:
            stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in Path(source).stem)[:80] or "result"
            number = self._used.get(stem, 0)
            name = stem
            while number and (name := f"{stem}_{number + 1}") in self._used:
                number += 1
            self._used[stem] = number + 1
            self._used.setdefault(name, 1)
            self._names[source] = name
        return self._names[source]
