"""`workflow blocks`: what there is, and what one block takes and gives."""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import Any

import typer

from workflow_engine.block import Block, block_types
from workflow_engine.errors import WorkflowError, did_you_mean
from workflow_engine.plugins import registry
from workflow_engine.schema import block_schema, block_schemas, described_by
from workflow_engine.wording import takes

_DEPTHS = {0: "one answer per element", 1: "opens a dimension: several answers per element",
           -1: "closes a dimension: inner elements arrive as lists"}  # fmt: skip

_EXAMPLE = re.compile(r"`(\{\"type\".*?\})`", re.DOTALL)
_HEAD = """# Blocks

Every block with its fields and outputs, as `workflow blocks --markdown` prints them. Where a field takes a reference, that is a
selector: `$inputs.name`, `$steps.name.output`.
"""


class UnknownBlockError(WorkflowError):
    """No block has this type name."""


def find_block(name: str) -> type[Block]:
    """A block by any of its type names.

    Raises:
        UnknownBlockError: with the nearest names.
    """
    known = registry().blocks
    if name in known:
        return known[name]
    absence = registry().absence(name)
    if name in registry().lost:
        raise UnknownBlockError(f"the block `{name}` cannot be used ({absence})")
    near = did_you_mean(name, known) or "`workflow blocks` lists all"
    raise UnknownBlockError(f"no block `{name}` ({near}{'; ' if absence else ''}{absence})")


def summary(block: type[Block]) -> str:
    """The first line of a block's own docstring; empty where it has none."""
    return described_by(block).split("\n")[0]


def print_blocks(*, as_json: bool) -> int:
    """Every block with one line about it."""
    blocks = registry().names()
    if as_json:
        listed = [{"type": name, "aliases": more, "summary": summary(block)} for block, (name, *more) in blocks.items()]
        typer.echo(json.dumps(listed, indent=2))
        return 0
    width = max((len(names[0]) for names in blocks.values()), default=0)
    for block, names in blocks.items():
        typer.echo(f"{names[0]:<{width}}  {summary(block)}")
    return 0


def print_block(name: str, *, as_json: bool) -> int:
    """One block: fields, outputs and how it is called."""
    block = find_block(name)
    described = describe(block)
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return 0
    first, *aliases = described["types"]
    typer.echo(f"{first}\n\n{described['description']}\n")
    if aliases:
        typer.echo(f"also answers to: {', '.join(aliases)}\n")
    typer.echo("fields")
    for field in described["fields"]:
        default = "required" if field["required"] else f"default {json.dumps(field['default'])}"
        typer.echo(f"  {field['name']}  ({default})  {field['takes']}")
        if field["description"]:
            typer.echo(f"      {field['description']}")
    typer.echo("outputs")
    for output, kinds in described["outputs"].items():
        typer.echo(f"  {output}  {', '.join(kinds)}")
    for package in described["requires"]:
        typer.echo(f"needs: pip install '{package}'")
    typer.echo(described["dimension"] + ("; called once for all elements" if described["batched"] else ""))
    return 0


def print_markdown(name: str | None) -> int:
    """The reference of all blocks, family by family, or of one."""
    if name is not None:
        typer.echo(markdown(find_block(name)), nl=False)
        return 0
    typer.echo(_HEAD, nl=False)
    families: dict[str, list[type[Block]]] = {}
    for block in block_schemas():
        families.setdefault(block.__module__, []).append(block)
    for module, members in families.items():
        title = (inspect.getdoc(sys.modules[module]) or module).split("\n")[0].rstrip(".")
        typer.echo(f"\n## {title}\n")
        typer.echo("\n".join(markdown(block) for block in members), nl=False)
    return 0


def example(block: type[Block]) -> dict[str, Any] | None:
    """The step in the block's docstring, written there as JSON between backticks; None where there is none.

    Raises:
        ValueError: it is no JSON.
    """
    found = _EXAMPLE.search(described_by(block))
    return None if found is None else dict(json.loads(found[1]))


def markdown(block: type[Block]) -> str:
    """A block as Markdown: what it does, an example, its fields and outputs."""
    described = describe(block)
    first, *aliases = described["types"]
    lines = [f"### `{first}`", "", _EXAMPLE.sub("", described["description"]).strip(), ""]
    step = example(block)
    if step is not None:
        lines += ["```json", _step(step), "```", ""]
    lines += ["| field | takes | default | |", "| --- | --- | --- | --- |"]
    for field in described["fields"]:
        default = "required" if field["required"] else f"`{json.dumps(field['default'], ensure_ascii=False)}`"
        takes = field["takes"].replace("|", "\\|")
        lines.append(f"| `{field['name']}` | {takes} | {default} | {field['description'].replace('|', chr(92) + '|')} |")
    lines += ["", "| output | kinds |", "| --- | --- |"]
    lines += [f"| `{name}` | {', '.join(kinds).replace('*', 'anything')} |" for name, kinds in described["outputs"].items()]
    notes = [described["dimension"][0].upper() + described["dimension"][1:]]
    notes += ["remembers earlier elements"] if block.stateful else []
    notes += [f"needs `pip install '{package}'`" for package in block.requires.values()]
    notes += [f"also answers to {', '.join(f'`{alias}`' for alias in aliases)}"] if aliases else []
    return "\n".join([*lines, "", "; ".join(notes) + ".", ""])


def _step(step: dict[str, Any]) -> str:
    """A step as JSON, one field per line."""
    rows = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in step.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def describe(block: type[Block]) -> dict[str, Any]:
    """A block as plain JSON."""
    properties = block_schema(block)["properties"]
    fields = [
        {"name": name, "required": info.is_required(), "default": properties[name].get("default"),
         "takes": takes(properties[name]), "description": properties[name].get("description", "")}
        for name, info in block.Manifest.model_fields.items() if name not in ("type", "name")
    ]  # fmt: skip
    return {
        "types": block_types(block),
        "description": described_by(block),
        "fields": fields,
        "outputs": {name: [kind.name for kind in output.kinds] for name, output in block.outputs.items()},
        "dimension": _DEPTHS[block.dimension],
        "batched": block.batched,
        "requires": list(block.requires.values()),
    }
