"""Values into files, where whoever runs the workflow allows it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from florence_blocks.vision.fields import Positive
from workflow_engine.block import Accepts, Block, BlockManifest, Output, Reference, Value
from workflow_engine.current import current_run
from workflow_engine.kinds import BOOLEAN, INTEGER, STRING
from workflow_engine.plain import dumps, loads

Mode = Literal["append_log", "separate_files"]


class LocalFileSink(Block):
    """Write texts into files: each into its own, or one behind the other.

    Files are written only where the run allows it: `workflow run --allow-files FOLDER`, `run(allow_files=FOLDER)`. Folders
    are meant within that one. Behind each other, the header of a CSV is written once and JSON becomes JSON Lines.

    `{"type": "vision/local_file_sink@v1", "name": "kept", "content": "$steps.table.csv_content",
    "output_mode": "append_log", "target_directory": "tables"}`
    """

    class Manifest(BlockManifest):
        """The fields of the step."""

        type: Literal["vision/local_file_sink@v1", "roboflow_core/local_file_sink@v1"]
        content: Annotated[Reference, Accepts(STRING)] = Field(description="the text")
        file_type: Literal["csv", "json", "txt"] = "csv"
        output_mode: Mode = Field(description="one behind the other, or each into a file of its own")
        target_directory: Value[str] = Field(description="a folder within the one that the run allows")
        file_name_prefix: Value[str] = Field("workflow_output", description="what the names of files begin with")
        max_entries_per_file: Annotated[Value[Positive], Accepts(INTEGER, STRING)] = Field(
            1024, description="texts in a file, then comes the next"
        )

    outputs = {"error_status": Output(BOOLEAN), "message": Output(STRING)}
    stateful = True

    def __init__(self) -> None:
        self._file: Path | None = None
        self._entries = 0

    def run(
        self,
        content: str,
        file_type: str,
        output_mode: Mode,
        target_directory: str,
        file_name_prefix: str,
        max_entries_per_file: int,
    ) -> dict[str, Any]:
        """Write the text of one element."""
        folder = _folder(target_directory)
        appended = output_mode == "append_log"
        suffix = "jsonl" if appended and file_type == "json" else file_type
        try:
            text = _one_line(content) if suffix == "jsonl" else content
            if self._file is None or not appended or self._entries >= max_entries_per_file:
                self._file, self._entries = _new_file(folder, file_name_prefix, suffix), 0
            elif file_type == "csv":
                text = text.partition("\n")[2]
            with self._file.open("a", encoding="utf-8") as file:
                file.write(text if text.endswith("\n") or not text else f"{text}\n")
        except OSError as error:
            return {"error_status": True, "message": f"{folder} cannot be written: {error.strerror}"}
        self._entries += 1
        return {"error_status": False, "message": f"written to {self._file}"}


def _folder(target: str) -> Path:
    """The folder to write into.

    Raises:
        ValueError: the run does not allow it.
    """
    run = current_run()
    allowed = None if run is None else run.permissions.files
    if allowed is None:
        raise ValueError(
            "this run may not write files; `allow_files=FOLDER` (`--allow-files FOLDER`) would allow it in a folder"
        )
    allowed = allowed.resolve()
    folder = (allowed / target).resolve()
    if not folder.is_relative_to(allowed):
        raise ValueError(f"`{target}` lies outside of {allowed}, where this run may write; a folder within it would fit")
    return folder


def _new_file(folder: Path, prefix: str, suffix: str) -> Path:
    """The path of a file that is not there yet."""
    if Path(prefix).name != prefix:
        raise ValueError(f"`{prefix}` is no beginning of a file name; one without folders would fit")
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{prefix}_{datetime.now(timezone.utc):%Y_%m_%d_%H_%M_%S_%f}"
    file, number = folder / f"{stem}.{suffix}", 1
    while file.exists():
        file, number = folder / f"{stem}_{number}.{suffix}", number + 1
    return file


def _one_line(content: str) -> str:
    try:
        return dumps(loads(content))
    except ValueError as error:
        raise ValueError(f"the text is no JSON: {error}") from None
