"""`workflow new`: what it writes works as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from florence_blocks.demo import draw_scene
from tests.cli.test_cli import lines_of, workflow


def test_a_new_definition_runs(tmp_path: Path) -> None:
    scene = draw_scene(41, width=320, height=320, shapes=3, words=0)
    cv2.imwrite(str(tmp_path / "scene.png"), scene.image)
    assert workflow("new", "count_things.json", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "count_things.json").read_text())["name"] == "Count things"
    assert workflow("check", "count_things.json", cwd=tmp_path).returncode == 0
    done = workflow("run", "count_things.json", "scene.png", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert lines_of(tmp_path / "out")[0]["outputs"]["count"] == len(scene.shapes)


@pytest.mark.slow
def test_a_new_plugin_passes_its_tests_once_it_is_installed(tmp_path: Path) -> None:
    assert workflow("new", "Acme Blocks", cwd=tmp_path).returncode == 0
    project, site = tmp_path / "Acme Blocks", tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        str(project),
    ]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{Path(__file__).parents[2]}"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    command = [sys.executable, "-c", "from workflow_engine.cli import main; main()", "blocks", "acme_blocks/brightness@v1"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "How bright an image is" in shown.stdout, shown.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("there.json", "there.json is there already; another name would fit"),
        ("full", "full is there already and not empty; another name would fit"),
        ("there.json/x.json", "there.json/x.json cannot be written: "),
        ("1st", "1st: a package name begins with a letter; my-blocks would fit"),
    ],
)
def test_nothing_is_overwritten(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "there.json").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    done = workflow("new", name, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert (tmp_path / "there.json").read_text() == "mine"
