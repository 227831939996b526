"""Which weights a model id stands for right now, so that results of one model are told from those of the next in its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from huggingface_hub import try_to_load_from_cache

from florence_blocks.model_ids import CheckpointError, resolve
from florence_blocks.runtime import adapters

_SUFFIXES: Final = (".json", ".safetensors", ".txt")
_PART: Final = 1 << 20
"""Bytes read at either end of a file; weights that were trained further differ there too."""


def fingerprint(model_id: str) -> str | None:
    """A digest of a checkpoint's files, with those of its base where it is an adapter, or the commit of a hub repository.

    Returns:
        None where nothing is known: the repository is not here yet, or there is no such checkpoint.
    """
    try:
        source = resolve(model_id)
        folder = Path(source)
        if not folder.is_dir():
            return _commit(source)
        found = hashlib.blake2b(digest_size=16)
        for part in _parts(folder):
            found.update(part)
        if (folder / adapters.CONFIG).is_file():
            found.update(str(fingerprint(adapters.base_model(adapters.config_of(folder)))).encode())
    except (CheckpointError, adapters.AdapterError, OSError, RecursionError):  # an adapter may name itself as its base
        return None
    return found.hexdigest()


def _parts(folder: Path) -> Iterator[bytes]:
    """The names, sizes and ends of a checkpoint's files."""
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES and path.is_file():
            size = path.stat().st_size
            yield f"{path.name} {size} ".encode()
            with path.open("rb") as file:
                yield file.read(_PART)
                file.seek(max(0, size - _PART))
                yield file.read(_PART)


def _commit(repository: str) -> str | None:
    """The commit of a hub repository that is in the cache."""
    config = try_to_load_from_cache(repository, "config.json")
    return Path(config).parent.name if isinstance(config, str) else None
