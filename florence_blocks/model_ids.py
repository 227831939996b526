"""What the ids of models stand for: short names, hub ids, folders, the embedded model; looked up without loading anything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from workflow_engine.errors import UnavailableError, did_you_mean, listing

DEMO: Final = "florence-2-demo"

SHORT_NAMES: Final = {
    "florence-2-base": "florence-community/Florence-2-base",
    "florence-2-large": "florence-community/Florence-2-large",
    "florence-2-base-ft": "florence-community/Florence-2-base-ft",
    "florence-2-large-ft": "florence-community/Florence-2-large-ft",
}
"""Short names of the published checkpoints, in transformers' native format."""

DEMO_FOLDER: Final = Path(__file__).parent / "demo" / "checkpoint"
_FORMER: Final = "microsoft/"
"""The owner of the same weights in the layout of the former remote code."""


class CheckpointError(UnavailableError):
    """A checkpoint cannot be found, read or obeyed; the message says what was looked for and what would fit."""


def resolve(model_id: str) -> str:
    """The folder or hub id that a model id stands for; one spelling for one checkpoint.

    Raises:
        CheckpointError: it is neither a name nor a folder, and cannot be a hub id.
    """
    if model_id == DEMO:
        return str(DEMO_FOLDER)
    if model_id in SHORT_NAMES:
        return SHORT_NAMES[model_id]
    if model_id.lower().startswith(_FORMER) and model_id.lower().removeprefix(_FORMER) in SHORT_NAMES:
        return SHORT_NAMES[model_id.lower().removeprefix(_FORMER)]
    folder = _folder(model_id)
    if folder is not None:
        return str(folder)
    if _may_be_hub_id(model_id):
        return model_id
    names = [DEMO, *SHORT_NAMES]
    near = did_you_mean(model_id.lower(), names) or f"a folder, a hub id (`owner/name`) or one of {listing(names)} would fit"
    raise CheckpointError(f"`{model_id}` is no model and no folder; {near}")


def _folder(model_id: str) -> Path | None:
    """The folder of this path, if there is one; no text at all is no path."""
    try:
        path = Path(model_id).expanduser()
        return path.resolve() if model_id.strip() and path.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, a user who is not there
        return None


def _may_be_hub_id(model_id: str) -> bool:
    """Whether an id has the form `owner/name` of the hub, which cannot be looked up here."""
    owner, _, name = model_id.partition("/")
    allowed = all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in owner + name)
    return bool(owner and name) and allowed and owner[0] not in "-." and len(model_id) <= 96
