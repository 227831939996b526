"""Every block of code in the README runs, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from florence_blocks.tasks import TASKS_BY_TOKEN
from workflow_engine import registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_code_blocks_run_in_order(tmp_path: Path) -> None:
    (tmp_path / "example_workflows").symlink_to(ROOT / "example_workflows")
    python = "import sys; sys.argv = sys.argv[1:]; from workflow_engine.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    blocks = re.findall(r"```(python|bash)\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 5
    for language, code in blocks:
        if language == "python":
            command = [sys.executable, "-c", code]
        else:
            shell = f'workflow() {{ "{sys.executable}" -c \'{python}\' workflow "$@"; }}\nset -e\n{code}'
            command = ["bash", "-c", shell]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{code}\n{done.stderr}"
    assert (tmp_path / "results" / "results.jsonl").exists()


def test_the_task_table_names_every_block_and_every_task() -> None:
    for name in registry().blocks:
        if name.startswith("florence/"):
            assert f"| `{name}` |" in README
    assert all(f"`{token}`" in README for token in TASKS_BY_TOKEN)


def test_the_tables_are_what_the_results_say() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
