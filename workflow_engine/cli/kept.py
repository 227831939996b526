"""The results a run keeps: a line of JSON per image, and what an earlier run of the same folder left.

A line is written when all of an image's results are there, its pictures among them. A run that is killed leaves whole lines
and perhaps the beginning of one, which the next run cuts off; it goes on with the images that have no line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from workflow_engine.cli.files import ImageFolder
from workflow_engine.data import Image
from workflow_engine.errors import WorkflowError

Earlier = Literal["refuse", "resume", "retry", "overwrite"]
"""What becomes of earlier results: an error, going on behind them, going on with failed images again, or nothing of them."""

FILE = "results.jsonl"
_CHUNK = 1 << 20


class KeptError(WorkflowError):
    """The folder of results cannot be used."""


def digest_of(source: Any) -> str:
    """A digest of a file's bytes, of an image's pixels; of anything else, of its text."""
    if isinstance(source, Image):
        return source.digest.hex()
    found = hashlib.blake2b(digest_size=16)
    if isinstance(source, Path):
        with contextlib.suppress(OSError), source.open("rb") as file:  # what cannot be read fails in its run
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    else:
        found.update(str(source).encode())
    return found.hexdigest()


class Results(Protocol):
    """Where the results of a run are kept.

    Attributes:
        place: the folder or file, for people.
        done: how many images of this run have results of an earlier one.
    """

    place: Path
    done: int

    def has(self, label: str, source: Any) -> bool:
        """Whether an image has results already; called once for every image, in order."""

    def keep(self, label: str, source: Any, outputs: dict[str, Any]) -> dict[str, Any]:
        """Keep the images among the outputs of an image; the outputs with the names of their files instead."""

    def add(self, label: str, source: Any, line: dict[str, Any]) -> None:
        """Keep the other results of an image."""

    def close(self) -> None:
        """No more results."""


class Kept:
    """Results in a folder: a file of lines, and the images as PNG files beside it."""

    def __init__(self, folder: Path, earlier: Earlier) -> None:
        self.place = folder
        self.done = 0
        self._images = ImageFolder(folder)
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if earlier == "refuse" and path.exists() and path.stat().st_size:
                raise KeptError(f"{path} holds results already; --resume goes on, --retry also does failed images again, "
                                "--overwrite starts anew")  # fmt: skip
            self._known = set(_mended(path, drop_failed=earlier == "retry")) if earlier in ("resume", "retry") else set()
            self._file: IO[str] = path.open("a" if earlier in ("resume", "retry") else "w", encoding="utf-8")
        except OSError as error:
            raise KeptError(f"--out {folder} cannot be written: {error.strerror}") from None

    def has(self, label: str, source: Any) -> bool:
        """Whether an image has results already, and is the same image still.

        Every image gets the name of its pictures here, so that a resumed run gives the same names.
        """
        self._images.name(label)
        if not self._known or (label, digest_of(source)) not in self._known:
            return False
        self.done += 1
        return True

    def keep(self, label: str, source: Any, outputs: dict[str, Any]) -> dict[str, Any]:
        """Write the images among the outputs; the outputs with the names of their files instead."""
        return {name: self._images.keep(value, label, name) for name, value in outputs.items()}

    def add(self, label: str, source: Any, line: dict[str, Any]) -> None:
        """Keep the results of an image."""
        self._file.write(json.dumps({"input": label, "digest": digest_of(source), **line}, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more results."""
        self._file.close()


def _mended(path: Path, *, drop_failed: bool) -> Iterator[tuple[str, str]]:
    """The images that have whole lines; what a killed run left of a line is cut off, and failed images are dropped if asked."""
    if not path.exists():
        return
    fresh = path.with_suffix(".part")
    with path.open(encoding="utf-8") as old, fresh.open("w", encoding="utf-8") as new:
        for line in old:
            read = _read(line)
            if read is None or (drop_failed and read.get("errors")):
                continue
            new.write(line)
            yield str(read.get("input")), str(read.get("digest"))
    fresh.replace(path)


def _read(line: str) -> dict[str, Any] | None:
    """A whole line; None for the beginning of one."""
    try:
        found = json.loads(line) if line.endswith("\n") else None
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
