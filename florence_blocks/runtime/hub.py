"""Checkpoints on the Hugging Face hub, brought into its cache on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from florence_blocks.model_ids import CheckpointError

DESCRIPTIONS: Final = ("*.json", "*.txt", "*.model")
WEIGHTS: Final = ("*.safetensors",)


def fetched(repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder with the files of a repository that match; its sub-folders are left out.

    Raises:
        CheckpointError: it is not there, or the hub cannot be reached and the cache does not hold it.
    """
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"]))
    except GatedRepoError:
        why = "it asks for an agreement first: accept it on its page, and log in with `hf auth login`"
    except RepositoryNotFoundError:
        why = "it is not on the Hugging Face hub, or not to be seen without `hf auth login`"
    except RevisionNotFoundError:
        why = f"it has no revision `{revision}`"
    except HFValidationError:
        why = "it is no folder, and no id of the Hugging Face hub (`owner/name`)"
    except Exception as error:  # whatever a network can do
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        why = f"it is no folder, and cannot be fetched from the Hugging Face hub: {reason}"
    raise CheckpointError(why)
