"""The results of a video: a video of what was drawn on its frames, and a line of JSON per frame beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workflow_engine.cli.kept import Earlier, KeptError
from workflow_engine.data import Image
from workflow_engine.plain import dumps
from workflow_engine.video import VideoWriter

RATE = 30.0
"""Frames a second where the source does not say."""


class Filmed:
    """Results in a video file; what cannot be shown for a frame is replaced by the frame, so that no moment is lost.

    Args:
        path: the video; the lines go into the file of the same name with the suffix `.jsonl`.
        earlier: what becomes of files that are there already: an error, or nothing of them.
        rate: frames a second, if known.
        show: the output to show; None for the first that is an image.
    """

    def __init__(self, path: Path, earlier: Earlier, rate: float | None, show: str | None) -> None:
        self.place = path
        self.done = 0
        self._show = show
        lines = path.with_suffix(".jsonl")
        if earlier in ("resume", "retry"):
            raise KeptError("a video is written from its beginning to its end; --overwrite starts anew")
        for file in (path, lines):
            if earlier == "refuse" and file.exists() and file.stat().st_size:
                raise KeptError(f"{file} is there already; --overwrite starts anew")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = lines.open("w", encoding="utf-8")
        except OSError as error:
            raise KeptError(f"--out {path} cannot be written: {error.strerror}") from None
        self._video = VideoWriter(path, rate or RATE)

    def has(self, label: str, source: Any) -> bool:
        """No frame has results."""
        return False

    def keep(self, label: str, source: Any, outputs: dict[str, Any]) -> dict[str, Any]:
        """Show one image; the outputs with a few words instead of images."""
        if self._show is None:
            self._show = next((name for name, value in outputs.items() if isinstance(value, Image)), None)
        shown = outputs.get(self._show) if self._show else None
        self._video.write(shown if isinstance(shown, Image) else source)
        return {name: self._told(name, value) for name, value in outputs.items()}

    def _told(self, name: str, value: Any) -> Any:
        if isinstance(value, Image):
            return self.place.name if name == self._show else f"image {value.width}x{value.height}"
        if isinstance(value, list):
            return [self._told("", item) for item in value]
        return {key: self._told("", item) for key, item in value.items()} if isinstance(value, dict) else value

    def add(self, label: str, source: Any, line: dict[str, Any]) -> None:
        """Write the line of a frame."""
        self._lines.write(dumps({"input": label, "seconds": source.seconds, **line}) + "\n")

    def close(self) -> None:
        """Write the ends of both files."""
        self._video.close()
        self._lines.close()
