"""Going on in a folder of results: only where they are of the same run, and with the images as they are now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from florence_blocks.demo import draw_scene
from florence_blocks.model_ids import DEMO, resolve
from tests.cli.test_cli import WIDTHS, lines_of
from workflow_engine.cli.app import app
from workflow_engine.cli.identity import differences

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.json").write_text(json.dumps(WIDTHS))
    (tmp_path / "images").mkdir()
    for width in (20, 30):
        picture(tmp_path, width)
    yield tmp_path


def picture(folder: Path, width: int, name: str = "") -> None:
    cv2.imwrite(str(folder / "images" / f"{name or f'i{width}'}.png"), np.zeros((10, width, 3), np.uint8))


def run(*arguments: str, refused: bool = False) -> Result:
    """Run the command in this process."""
    done = CliRunner().invoke(app, ["run", "w.json", "images", "--out", "out", *arguments])
    if refused:
        assert done.exception is not None and done.exit_code != 0
    else:
        assert done.exit_code == 0, (done.output, done.exception)
    return done


def texts(folder: Path) -> list[str]:
    return [line["outputs"]["text"] for line in lines_of(folder / "out")]


def changed(folder: Path, **fields: Any) -> None:
    (folder / "w.json").write_text(json.dumps({**WIDTHS, **fields}))


def other_steps() -> list[dict[str, Any]]:
    steps = json.loads(json.dumps(WIDTHS["steps"]))
    steps[1]["template"] = "{w} and {by}"
    return steps


OTHERS: dict[str, tuple[Callable[[Path], Any], list[str], str]] = {
    "another parameter": (lambda folder: None, ["--set", "by=y"], 'parameters.by was "x", is "y"'),
    "another field of a step": (
        lambda folder: changed(folder, steps=other_steps()), [],
        'definition.steps[1].template was "{w} by {by}", is "{w} and {by}"',
    ),
    "fewer outputs": (lambda folder: changed(folder, outputs=WIDTHS["outputs"][:1]), [], "definition.outputs was"),
    "another version": (
        lambda folder: edited(folder, packages=["florence-blocks 0.0.1"]), [], 'packages[0] was "florence-blocks 0.0.1", is',
    ),
    "nothing known": (lambda folder: (folder / "out" / "run.json").unlink(), [], "run.json does not say how the results"),
    "half a file": (lambda folder: (folder / "out" / "run.json").write_text('{"defi'), [], "does not say how the results"),
}  # fmt: skip


def edited(folder: Path, **fields: Any) -> None:
    path = folder / "out" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(("change", "arguments", "said"), OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("how", ["--resume", "--retry"])
def test_results_of_another_run_are_not_continued(
    folder: Path, how: str, change: Callable[[Path], Any], arguments: list[str], said: str
) -> None:
    run()
    change(folder)
    before = (folder / "out" / "results.jsonl").read_bytes()
    refused = str(run(how, *arguments, refused=True).exception)
    assert said in refused and "--overwrite starts anew" in refused and "another --out" in refused
    assert (folder / "out" / "results.jsonl").read_bytes() == before
    run("--overwrite", *arguments)
    run(how, *arguments)
    assert len(texts(folder)) == 2


def test_what_changes_no_result_does_not_hinder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORENCE_BLOCKS_FEATURE_BYTES", "1")  # the option changes the variable
    run("--feature-bytes", "0", "--batch", "1")
    changed(folder, name="widths", description="of images")
    assert "0 results in out, 2 were there already" in run("--resume", "--feature-bytes", "9", "--set", "by=x").output


def test_another_precision_is_another_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLORENCE_BLOCKS_DTYPE", "float32")
    run()
    monkeypatch.setenv("FLORENCE_BLOCKS_DTYPE", "bfloat16")
    assert 'settings.dtype was "float32", is "bfloat16"' in str(run("--resume", refused=True).exception)


def test_weights_that_were_trained_further_in_their_folder_are_another_run(folder: Path) -> None:
    model = folder / "model"
    shutil.copytree(resolve(DEMO), model)
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "model"}],
        "steps": [{"type": "florence/caption@v1", "name": "s", "images": "$inputs.image", "model_id": "$inputs.model",
                   "max_new_tokens": 2}],
        "outputs": [{"type": "JsonField", "name": "text", "selector": "$steps.s.caption"}],
    }  # fmt: skip
    (folder / "w.json").write_text(json.dumps(definition))
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "scene.png"), draw_scene(5).image)
    given = ("--set", f"model={model}")
    run(*given)
    run("--resume", *given)
    weights = next(model.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert "models.s was" in str(run("--resume", *given, refused=True).exception)


def test_a_changed_image_is_done_again_and_its_old_line_goes(folder: Path) -> None:
    run()
    picture(folder, 31, name="i30")
    done = run("--resume")
    assert "1 results in out, 1 were there already" in done.output and texts(folder) == ["20 by x", "31 by x"]
    assert "2 were there already" in run("--resume").output and texts(folder) == ["20 by x", "31 by x"]


def test_a_killed_run_leaves_the_old_line_of_a_changed_image_until_the_next_run_ends(folder: Path) -> None:
    run()
    new = {**lines_of(folder / "out")[1], "digest": "0" * 32}
    with (folder / "out" / "results.jsonl").open("a") as file:
        file.write(json.dumps(new) + "\n")  # killed before the old line went
    run("--resume")
    assert texts(folder) == ["20 by x", "30 by x"]


def test_lines_of_images_that_are_not_given_stay_and_are_told(folder: Path) -> None:
    run()
    (folder / "images" / "i20.png").unlink()
    picture(folder, 40)
    assert "1 results in out, 1 were there already, 1 of images not given this time stay" in run("--resume").output
    assert texts(folder) == ["20 by x", "30 by x", "40 by x"]


def test_one_image_given_twice_has_one_line_and_is_there_already(folder: Path) -> None:
    again = ["run", "w.json", "images/i20.png", "images/i20.png", "--out", "out"]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert "0 results in out, 1 were there already" in CliRunner().invoke(app, [*again, "--resume"]).output
    assert texts(folder) == ["20 by x"]


def test_lists_of_other_lengths_are_told_by_their_lengths() -> None:
    assert list(differences({"steps": [1, 2]}, {"steps": [1, 2, 3]})) == ["steps was a list of 2, is one of 3"]


def test_a_folder_that_holds_no_results_yet_is_begun_whatever_it_says(folder: Path) -> None:
    run()
    (folder / "out" / "results.jsonl").write_text("")
    run("--resume", "--set", "by=y")
    assert texts(folder) == ["20 by y", "30 by y"]


def test_secrets_are_not_written_down(folder: Path) -> None:
    secret = {"type": "WorkflowParameter", "name": "by", "kind": ["secret"], "default_value": "x"}
    changed(folder, inputs=[WIDTHS["inputs"][0], secret])
    run("--set", "by=hunter2")
    assert "hunter2" not in (folder / "out" / "run.json").read_text()
    assert "parameters.by was" in str(run("--resume", "--set", "by=hunter3", refused=True).exception)
