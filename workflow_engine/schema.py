"""JSON Schema of the language and of every block, so that an editor completes a workflow file.

`{"$schema": "workflow.schema.json", ...}` is all a workflow needs for it.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

from workflow_engine.block import Block, block_types
from workflow_engine.errors import PluginError
from workflow_engine.language import DocumentSchema
from workflow_engine.plugins import PluginWarning, registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def block_schema(block: type[Block]) -> dict[str, Any]:
    """The schema of one block's step; every spelling of a field is allowed.

    Raises:
        PluginError: its manifest has none, as fields of types that pydantic does not know have not.
    """
    try:
        schema = block.Manifest.model_json_schema(by_alias=False)
    except Exception as error:
        message = (
            f"the block `{block_types(block)[0]}` has no schema: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        )
        raise registry().sources[block].error(message) from error
    schema["title"] = block_types(block)[0]
    schema["description"] = described_by(block)
    _spell(schema, block)
    return {"$schema": DIALECT, **schema}


def described_by(block: type[Block]) -> str:
    """The docstring of a block; empty where it has none of its own."""
    return inspect.cleandoc(block.__doc__ or "")


def block_schemas() -> dict[type[Block], dict[str, Any]]:
    """The schemas of all blocks; blocks that have none are left out with a warning."""
    schemas = {}
    for block in dict.fromkeys(registry().blocks.values()):
        try:
            schemas[block] = block_schema(block)
        except PluginError as error:
            warnings.warn(f"left out: {error}", PluginWarning, stacklevel=2)
    return schemas


def _spell(schema: dict[str, Any], block: type[Block]) -> None:
    """Fields with several spellings: each is a property, and one of them is required."""
    from workflow_engine.drafts import spellings

    required = schema.get("required", [])
    choices = []
    for name in block.Manifest.model_fields:
        names = spellings(block.Manifest, name)
        for spelling in names[1:]:
            schema["properties"][spelling] = schema["properties"][name]
        if len(names) > 1 and name in required:
            required.remove(name)
            choices.append({"anyOf": [{"required": [spelling]} for spelling in names]})
    if choices:
        schema["allOf"] = choices


def document_schema() -> dict[str, Any]:
    """The schema of a whole definition: the fields of a step follow from its type."""
    schema = DocumentSchema.model_json_schema(by_alias=True)
    parts = block_schemas()
    definitions = schema.setdefault("$defs", {})
    rules = []
    for block, part in sorted(parts.items(), key=lambda item: block_types(item[0])[0]):
        name = block_types(block)[0]
        part.pop("$schema")
        definitions.update(part.pop("$defs", {}))
        definitions[_key(name)] = part
        condition = {"properties": {"type": {"enum": list(block_types(block))}}, "required": ["type"]}
        rules.append({"if": condition, "then": {"$ref": f"#/$defs/{_key(name)}"}})
    types = sorted(name for block in parts for name in block_types(block))
    schema["properties"]["steps"]["items"] = {
        "type": "object",
        "required": ["type", "name"],
        "properties": {"type": {"enum": types}, "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}},
        "allOf": rules,
    }
    return {"$schema": DIALECT, **schema}


def _key(name: str) -> str:
    """A type name as the name of a definition or a file."""
    return re.sub(r"[^A-Za-z0-9_@-]", ".", name)


def write_schemas(folder: Path) -> list[Path]:
    """Write the schema of the language and one per block; the files written."""
    schemas = {"workflow.schema.json": document_schema()}
    for block, schema in block_schemas().items():
        schemas[f"blocks/{_key(block_types(block)[0])}.schema.json"] = schema
    written = []
    for name, schema in schemas.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written
