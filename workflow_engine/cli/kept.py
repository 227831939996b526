"""The results a run keeps: a line of JSON per image, and what an earlier run of the same folder left.

A line is written when all of an image's results are there, its pictures among them. A run that is killed leaves whole lines
and perhaps the beginning of one, which the next run cuts off; it goes on with the images that have no line. What the results
follow from (definition, parameters, settings, models, versions) lies beside them, and a run of another identity does not go on
there. The line of an image that has changed goes when it has a new one; lines of images that are not given this time stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from workflow_engine.cli.files import ImageFolder
from workflow_engine.cli.identity import differences
from workflow_engine.data import Image
from workflow_engine.errors import WorkflowError
from workflow_engine.plain import dumps, loads

Earlier = Literal["refuse", "resume", "retry", "overwrite"]
"""What becomes of earlier results: an error, going on behind them, going on with failed images again, or nothing of them."""

FILE = "results.jsonl"
IDENTITY = "run.json"
"""What the results follow from, see `identity`."""
_NAMED = 4
"""How many differences of identities are named."""
_CHUNK = 1 << 20


class KeptError(WorkflowError):
    """The folder of results cannot be used."""


def digest_of(source: Any) -> str:
    """A digest of a file's bytes, of an image's pixels; of anything else, of its text."""
    if isinstance(source, Image):
        return source.digest.hex()
    found = hashlib.blake2b(digest_size=16)
    if isinstance(source, Path):
        with contextlib.suppress(OSError):  # what cannot be read fails in its run
            if source.is_file():  # to open a pipe would wait for somebody to write into it
                with source.open("rb") as file:
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
    """Results in a folder: a file of lines, the images as PNG files beside it, and what they follow from."""

    def __init__(self, folder: Path, earlier: Earlier, identity: Mapping[str, Any]) -> None:
        self.place = folder
        self.done = 0
        self._images = ImageFolder(folder)
        self._path = folder / FILE
        self._known: dict[str, str] = {}
        self._asked: dict[str, str] = {}
        self._changed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._begin(earlier, identity)
            self._file: IO[str] = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise KeptError(f"--out {folder} cannot be written: {error.strerror}") from None

    def _begin(self, earlier: Earlier, identity: Mapping[str, Any]) -> None:
        """Make the folder ready for results of this identity; at any moment the identity there is that of the results there."""
        filled = self._path.exists() and self._path.stat().st_size > 0
        if earlier == "refuse" and filled:
            raise KeptError(f"{self._path} holds results already; --resume goes on, --retry also does failed images again, "
                            "--overwrite starts anew")  # fmt: skip
        if earlier in ("resume", "retry") and filled:
            self._check(identity)
            for _, read in _lines(self._path):
                self._images.reserve(str(read.get("input")), str(read.get("name")))
            self._known = _mended(self._path, drop_failed=earlier == "retry")
            return
        self._path.write_bytes(b"")
        fresh = (self.place / IDENTITY).with_suffix(".part")
        fresh.write_text(dumps(identity, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self.place / IDENTITY)

    def _check(self, identity: Mapping[str, Any]) -> None:
        """Refuse to go on behind results of another identity."""
        on = "another --out keeps both, --overwrite starts anew"
        try:
            old = json.loads((self.place / IDENTITY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise KeptError(f"{self.place / IDENTITY} does not say how the results in {self.place} were made; {on}") from None
        found = list(differences(old, identity))
        if found:
            more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise KeptError(f"the results in {self.place} are of another run: {'; '.join(found[:_NAMED])}{more}; {on}")

    @property
    def others(self) -> int:
        """How many images have results there and were not given to this run."""
        return len(self._known.keys() - self._asked.keys())

    def has(self, label: str, source: Any) -> bool:
        """Whether an image has results already, and is the same image still.

        Every image gets the name of its pictures here; those that have results keep the name they had.
        """
        self._images.name(label)
        self._asked[label] = digest_of(source)
        if self._known.get(label) != self._asked[label]:
            self._changed = self._changed or label in self._known
            return False
        self.done += 1
        return True

    def keep(self, label: str, source: Any, outputs: dict[str, Any]) -> dict[str, Any]:
        """Write the images among the outputs; the outputs with the names of their files instead."""
        return {name: self._images.keep(value, label, name) for name, value in outputs.items()}

    def add(self, label: str, source: Any, line: dict[str, Any]) -> None:
        """Keep the results of an image, with the digest it had before it was read."""
        digest = self._asked.get(label) or digest_of(source)
        head = {"input": label, "name": self._images.name(label), "digest": digest}
        self._file.write(dumps({**head, **line}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more results; lines of what images were before they changed go."""
        self._file.close()
        if self._changed:
            _mended(self._path)


def _mended(path: Path, *, drop_failed: bool = False) -> dict[str, str]:
    """Leave in a file the whole lines of the last state of every image, but for those that failed, if asked.

    Returns:
        The digest of every image that has a line.
    """
    last: dict[str, str] = {}
    for _, read in _lines(path):
        last[str(read.get("input"))] = str(read.get("digest"))
    fresh = path.with_suffix(".part")
    kept: dict[str, str] = {}
    with fresh.open("w", encoding="utf-8") as new:
        for line, read in _lines(path):
            label, digest = str(read.get("input")), str(read.get("digest"))
            if last[label] != digest or (drop_failed and read.get("errors")):
                continue
            new.write(line)
            kept[label] = digest
    fresh.replace(path)
    return kept


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The whole lines of a file, as they are and read; what a killed run left of one is left out."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            read = _read(line)
            if read is not None:
                yield line, read


def _read(line: str) -> dict[str, Any] | None:
    """A whole line; None for the beginning of one."""
    try:
        found = loads(line) if line.endswith("\n") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
