"""Images from the command line: files, folders, patterns and addresses, and what of them was left out."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflow_engine.errors import WorkflowError
from workflow_engine.pictures import suffixes

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}

_COUNTED = 10_000
"""Files in sub-folders that are looked at to say how many images are there."""
_NAMED = 5
"""Kinds of files that are named among those that were left out."""


class SourceError(WorkflowError):
    """What was given holds no images."""


@dataclass
class Found:
    """The images of a command.

    Attributes:
        images: paths and addresses, in order and each once.
        notes: what was left out and why, for people.
    """

    images: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_images(sources: list[str], *, recursive: bool = False, allow_urls: bool = False) -> Found:
    """Files as they are, the images of folders, the matches of patterns; in order, numbers by their values.

    What gives nothing is told; a path that leads nowhere stays among other images, to fail alone.

    Args:
        sources: files, folders, patterns and addresses.
        recursive: whether folders inside of folders are taken.
        allow_urls: whether images may be fetched.

    Raises:
        SourceError: there is no image at all, or an address that may not be fetched.
    """
    found = Found()
    for source in sources:
        if not source:  # as a path it would be this folder
            raise SourceError("an empty name is no image; `.` is this folder")
        if source.startswith(("http://", "https://")):
            if not allow_urls:
                raise SourceError(f"`{source}` is a URL; --allow-urls lets images be fetched")
            found.images.append(source)
        elif _is_folder(source):
            _add_folder(found, Path(source), recursive)
        elif glob.has_magic(source) and not os.path.lexists(source):
            _add_matches(found, source)
        elif Path(source).suffix.lower() in VIDEO_SUFFIXES and os.path.lexists(source):
            found.notes.append(f"`{source}` is a video; --video {source} would read its frames")
        else:
            found.images.append(Path(source))
    if not any(isinstance(image, str) or os.path.lexists(image) for image in found.images):
        nowhere = [f"`{image}` is no file, folder or pattern with matches" for image in found.images]
        if nowhere or found.notes:
            raise SourceError("; ".join(nowhere + found.notes))
    return _each_once(found)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_folder(source: str) -> bool:
    try:
        return Path(source).is_dir()
    except OSError:  # the way to it may not be looked at
        return False


def _each_once(found: Found) -> Found:
    once = list(dict.fromkeys(found.images))
    if len(once) < len(found.images):
        found.notes.append("given: " + _counted(len(found.images) - len(once), "image") + " more than once")
    return Found(once, found.notes)


def _add_matches(found: Found, pattern: str) -> None:
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute patterns
    files = [match for match in matches if not _is_folder(str(match))]
    found.images += sorted(files, key=_natural)
    if not files:
        found.notes.append(f"`{pattern}` matches no files")
    elif len(files) < len(matches) and "**" not in pattern:
        found.notes.append(f"`{pattern}`: left out {_counted(len(matches) - len(files), 'folder')} among the matches")


def _natural(path: Path) -> list[list[tuple[str, int]]]:
    """A key that orders numbers in names by their values: `image2` before `image10`."""
    return [
        [(text.casefold(), int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", part)] + [(part, 0)]
        for part in path.parts
    ]


@dataclass
class _LeftOut:
    """What of a folder was left out."""

    kinds: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    links: int = 0
    unread: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def told(self, images: set[str]) -> list[str]:
        """What it was, for people."""
        parts = []
        if self.kinds:
            named = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common(_NAMED))
            more = ", ..." if len(self.kinds) > _NAMED else ""
            parts.append(f"{_counted(self.kinds.total(), 'file')} in formats that are not read ({named}{more})")
        if VIDEO_SUFFIXES & self.kinds.keys():
            parts.append("--video FILE reads the frames of a video")
        if self.hidden:
            parts.append(f"{self.hidden} hidden")
        if self.links:
            parts.append(_counted(self.links, "link") + " to folders")
        if self.unread:
            parts.append(f"folders that cannot be read: {', '.join(self.unread[:_NAMED])}")
        inside = sum(1 for path in self._inside() if path.suffix.lower() in images)
        if inside:
            parts.append(_counted(inside, "image") + " in sub-folders, which --recursive takes")
        return parts

    def _inside(self) -> Iterator[Path]:
        """The first files in sub-folders, however deep."""
        seen = 0
        for folder in self.folders:
            for place, _, names in os.walk(folder):
                for name in names:
                    if seen == _COUNTED:
                        return
                    seen += 1
                    yield Path(place, name)


def _add_folder(found: Found, folder: Path, recursive: bool) -> None:
    images, left, known = list[Path](), _LeftOut(), suffixes()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError as error:
            left.unread.append(f"`{place}` ({error.strerror})")
            continue
        for entry in entries:
            path = Path(entry.path)
            suffix = path.suffix.lower()
            if entry.name.startswith("."):
                left.hidden += 1
            elif entry.is_dir(follow_symlinks=False):
                (waiting if recursive else left.folders).append(path)
            elif entry.is_dir():
                left.links += 1
            elif suffix in known:
                images.append(path)
            else:
                left.kinds[suffix or "without a suffix"] += 1
    told = "; ".join(left.told(known))
    found.images += sorted(images, key=_natural)
    if not images:
        found.notes.append(f"`{folder}` holds no images" + (f": {told}" if told else ""))
    elif told:
        found.notes.append(f"`{folder}`: left out {told}")
