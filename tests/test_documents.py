"""The README and the documentation: their code runs, their tables are fresh, they build without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from florence_blocks.tasks import TASKS_BY_TOKEN
from workflow_engine import Block, registry
from workflow_engine.block import block_types
from workflow_engine.cli.listing import example, print_markdown, summary

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", ["README.md", "docs/tour.md", "docs/plugins.md", "docs/python.md"])
def test_the_code_blocks_run_in_order(tmp_path: Path, document: str) -> None:
    (tmp_path / "example_workflows").symlink_to(ROOT / "example_workflows")
    python = "import sys; sys.argv = sys.argv[1:]; from workflow_engine.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    blocks = re.findall(r"```(python|bash)\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert blocks
    for language, code in blocks:
        named = re.match(r"# (\w+\.py)\n", code)
        if named:
            (tmp_path / named[1]).write_text(code)
            continue
        if language == "python":
            command = [sys.executable, "-c", code]
        else:
            shell = f'workflow() {{ "{sys.executable}" -c \'{python}\' workflow "$@"; }}\nset -e\n{code}'
            command = ["bash", "-c", shell]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{code}\n{done.stderr}"


def test_the_task_table_names_every_block_and_every_task() -> None:
    for name in registry().blocks:
        if name.startswith("florence/"):
            assert f"| `{name}` |" in README
    assert all(f"`{token}`" in README for token in TASKS_BY_TOKEN)


def test_the_tables_are_what_the_results_say() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_reference_of_blocks_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    print_markdown(None)
    assert (ROOT / "docs" / "blocks.md").read_text() == capsys.readouterr().out, "`make docs` writes it anew"


@pytest.mark.parametrize("block", dict.fromkeys(registry().blocks.values()), ids=lambda block: block_types(block)[0])
def test_every_block_says_what_it_does_and_has_an_example_that_fits(block: type[Block]) -> None:
    step = example(block)
    assert step is not None and step["type"] == block_types(block)[0]
    block.Manifest.model_validate(step)
    assert 15 < len(summary(block)) < 130 and summary(block).endswith((".", ":"))


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "florence/region_caption@v1" in (tmp_path / "blocks.html").read_text()
