"""How Sphinx makes the documentation: `make docs`."""

from __future__ import annotations

from pathlib import Path

from workflow_engine import compile
from workflow_engine.views.diagram import diagram
from workflow_engine.views.picture import picture

ROOT = Path(__file__).parents[1]

project = "florence-blocks"
author = "The florence-blocks developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "florence-blocks"
nitpicky = False
default_role = "code"  # docstrings write code between single backticks, as Markdown does
exclude_patterns = ["drawn"]

# The graphs of the examples, drawn from the definitions as they are.
_drawn = Path(__file__).parent / "drawn"
_drawn.mkdir(exist_ok=True)
for _path in (ROOT / "example_workflows").glob("*.json"):
    (_drawn / f"{_path.stem}.svg").write_bytes(picture(diagram(compile(_path).plan), "svg"))
