"""Florence-2 over the rows of a data set of Ray Data: `data.map_batches(AskFlorence, fn_constructor_args=["ocr"], ...)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from florence_blocks.blocks.typed import BLOCKS
from workflow_engine.block import Reference, block_types
from workflow_engine.data import Image
from workflow_engine.detections import is_detections, object_array
from workflow_engine.detections_json import deserialise, serialise

_BLOCKS = {block_types(block)[0][9:-3]: block for block in BLOCKS}


class AskFlorence:
    """Ask one task about all rows of a batch at once, and add the outputs of its block as columns, detections as JSON.

    A task, field or column that does not fit raises `ValueError`, the first row that fails its own error.

    Args:
        task: the name of a block without its version: `caption`, `object_detection`, `region_caption`...
        **fields: those of the block; `"$inputs.name"` takes a column, `images` by default `image`: RGB `uint8` `[h, w, 3]`.
    """

    def __init__(self, task: str = "caption", **fields: Any) -> None:
        if task not in _BLOCKS:
            raise ValueError(f"task={task!r}; {', '.join(_BLOCKS)} would fit")
        self.task, self.fields = task, {"images": "$inputs.image", **fields}
        self._checked()  # again for every batch, as classes made from the task table cannot be sent to other processes

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a batch `[rows, ...]`, with those of the block added."""
        block, fields, count = _BLOCKS[self.task], self._checked(), len(next(iter(batch.values())))
        given = {key: list(_column(batch, one)) if isinstance(one, Reference) else [one] * count for key, one in fields.items()}
        named = [block.named(row) for row in block().run(**given)]
        plain = [{key: serialise(one) if is_detections(one) else one for key, one in row.items()} for row in named]
        return {**batch, **{key: object_array([row[key] for row in plain]) for key in block.outputs}}

    def _checked(self) -> dict[str, Any]:
        step = {"type": f"florence/{self.task}@v1", "name": self.task, **self.fields}
        manifest = _BLOCKS[self.task].Manifest
        try:
            checked = dict(manifest.model_validate(step))
        except ValidationError as error:
            first, known = error.errors()[0], [name for name in manifest.model_fields if name not in ("type", "name")]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{self.task}: {place}: {first['msg']}; its fields are {', '.join(known)}") from None
        return {name: value for name, value in checked.items() if name not in ("type", "name")}


def _column(batch: Mapping[str, Any], wanted: Reference) -> Iterator[Any]:
    if (name := wanted.selector.name) not in batch:
        raise ValueError(f"there is no column {name!r}; the batch has {', '.join(batch)}")
    for value in batch[name]:
        if wanted.literal is None:  # images alone have no literals
            yield Image.load(value, order="rgb")
        else:
            plain = _plain(value)
            yield wanted.literal.validate_python(deserialise(plain) if isinstance(plain, dict) else plain)


def _plain(value: Any) -> Any:
    """A cell without the arrays that Ray makes of lists, however deep they lie."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return (
        [_plain(one) for one in value] if isinstance(value, (list, np.ndarray)) else getattr(value, "tolist", lambda: value)()
    )
