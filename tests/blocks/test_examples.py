"""Every example workflow runs on the embedded model and agrees with what was drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from florence_blocks.demo import draw_scene
from florence_blocks.demo.corpus import caption
from workflow_engine import compile

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "example_workflows"
SCENE = draw_scene(41, width=320, height=320, shapes=3, words=1)


def test_detect_filter_crop_read() -> None:
    (row,) = compile(EXAMPLES / "detect_filter_crop_read.json").run(image=SCENE.image, on_error="raise").outputs
    labels = list(row["objects"].data["class_name"])
    assert {shape.name for shape in SCENE.shapes} <= set(labels)
    assert SCENE.words[0].text in row["texts"]
    assert len(row["captions"]) == len(row["texts"]) == len(labels) and row["picture"].size == (320, 320)


def test_caption_ground_segment() -> None:
    (row,) = compile(EXAMPLES / "caption_ground_segment.json").run(image=SCENE.image, on_error="raise").outputs
    assert row["caption"] == caption(SCENE)
    assert len(row["objects"]) == len(SCENE.shapes) and row["objects"].mask.any(axis=(1, 2)).all()


def test_count_behind_a_gate() -> None:
    workflow = compile(EXAMPLES / "count_behind_a_gate.json")
    name = SCENE.shapes[0].category
    count = sum(shape.category == name for shape in SCENE.shapes)
    (row,) = workflow.run(image=SCENE.image, classes=[name]).outputs
    assert row == {"count": count, "sentence": f"found {count}: {', '.join([name] * count)}"}
    absent = next(word for word in ("circle", "square", "triangle", "star") if word not in {s.category for s in SCENE.shapes})
    (row,) = workflow.run(image=SCENE.image, classes=[absent]).outputs
    assert row == {"count": 0, "sentence": None}


def test_the_demo_runs_the_main_example_and_leaves_its_picture(tmp_path: Path) -> None:
    kept = json.loads((ROOT / "florence_blocks" / "demo" / "workflow.json").read_text())
    assert kept == json.loads((EXAMPLES / "detect_filter_crop_read.json").read_text())
    command = [sys.executable, "-m", "florence_blocks.demo", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "found" in done.stdout and (tmp_path / "picture.png").exists()
