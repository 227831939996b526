"""`workflow new`: a definition, or a package with blocks of one's own, to start from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import typer

from workflow_engine.errors import WorkflowError

_TEMPLATES = Path(__file__).parent / "templates"
_PACKAGE = "package"
"""The folder of the template that becomes the package."""


class ScaffoldError(WorkflowError):
    """Nothing can be made there."""


def create(path: Path) -> int:
    """Write a definition (a name that ends in .json) or a plugin package (any other name); the exit code."""
    made = [_definition(path)] if path.suffix.lower() == ".json" else list(_plugin(path))
    try:
        for file, text in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {file}", err=True)
    except OSError as error:
        raise ScaffoldError(f"{path} cannot be written: {error.strerror}") from None
    return 0


def _definition(path: Path) -> tuple[Path, str]:
    if path.exists():
        raise ScaffoldError(f"{path} is there already; another name would fit")
    title = re.sub(r"[^A-Za-z0-9]+", " ", path.stem).strip().capitalize() or "Workflow"
    return path, _filled(_TEMPLATES / "definition.json", title=title)


def _plugin(folder: Path) -> Iterator[tuple[Path, str]]:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScaffoldError(f"{folder} is there already and not empty; another name would fit")
    project = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    package = project.replace("-", "_")
    if not package.isidentifier():
        raise ScaffoldError(f"{folder}: a package name begins with a letter; my-blocks would fit")
    root = _TEMPLATES / "plugin"
    for file in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        parts = [package if part == _PACKAGE else part for part in file.relative_to(root).parts]
        yield folder.joinpath(*parts), _filled(file, project=project, package=package)


def _filled(template: Path, **names: str) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(template.read_text(encoding="utf-8")).render(names)
