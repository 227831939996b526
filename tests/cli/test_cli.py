"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from florence_blocks.demo import draw_scene
from workflow_engine.cli import app
from workflow_engine.errors import WorkflowError
from workflow_engine.executor import STEP_THREAD

EXAMPLES = Path(__file__).parents[2] / "example_workflows"
MAIN = EXAMPLES / "detect_filter_crop_read.json"
WIDTHS = {
    "version": "1.0",
    "inputs": [{"type": "WorkflowImage", "name": "image"}, {"type": "WorkflowParameter", "name": "by", "default_value": "x"}],
    "steps": [
        {"type": "vision/property_definition@v1", "name": "w", "data": "$inputs.image",
         "operations": [{"type": "ExtractImageProperty", "property_name": "width"}]},
        {"type": "vision/string_template@v1", "name": "t", "template": "{w} by {by}",
         "data": {"w": "$steps.w.output", "by": "$inputs.by"}},
        {"type": "vision/convert_grayscale@v1", "name": "grey", "image": "$inputs.image"},
    ],
    "outputs": [{"type": "JsonField", "name": "text", "selector": "$steps.t.output"},
                {"type": "JsonField", "name": "grey", "selector": "$steps.grey.image"}],
}  # fmt: skip


def workflow(*arguments: Any, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from workflow_engine.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.json").write_text(json.dumps(WIDTHS))
    images = tmp_path / "images"
    images.mkdir()
    for width in (30, 20):
        cv2.imwrite(str(images / f"i{width}.png"), np.zeros((10, width, 3), np.uint8))
    return tmp_path


def test_a_folder_gives_a_line_and_a_picture_per_image(folder: Path) -> None:
    done = workflow("run", "w.json", "images", "--set", "by=ten", "--out", "out", "--batch", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["outputs"]["text"] for line in lines] == ["20 by ten", "30 by ten"]
    assert [line["outputs"]["grey"] for line in lines] == ["i20.grey.png", "i30.grey.png"]
    assert cv2.imread(str(folder / "out" / "i20.grey.png")).shape == (10, 20, 3)


NAMES = ["timeout", "batch", "input", "images", "inputs", "on_error", "cancellation", "allow_urls", "self", "a-b", "out", "set"]


def test_a_list_of_all_images_is_that_of_the_whole_folder_whatever_the_batch(tmp_path: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 10 + number, 3), np.uint8))
    width = {"type": "ExtractImageProperty", "property_name": "width"}
    (tmp_path / "all.json").write_text(json.dumps({
        "version": "1.0", "metadata": {"author": "a"},
        "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [{"type": "vision/property_definition@v1", "name": "w", "data": "$inputs.image", "operations": [width]},
                  {"type": "vision/dimension_collapse@v1", "name": "all", "data": "$steps.w.output"}],
        "outputs": [{"type": "JsonField", "name": "widths", "selector": "$steps.all.output"}],
    }))  # fmt: skip
    done = workflow("run", "all.json", "--out", "out", "--batch", "2", *(f"{number}.png" for number in range(5)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "metadata: unknown field, ignored" in done.stderr
    lines = lines_of(tmp_path / "out")
    assert [line["input"] for line in lines] == [f"{number}.png" for number in range(5)]
    assert all(line["outputs"] == {"widths": [10, 11, 12, 13, 14]} for line in lines)
    again = workflow("run", "all.json", "--out", "out", "--resume", "0.png", cwd=tmp_path)
    assert again.returncode == 2 and "step `all` joins all images" in again.stderr


def test_parameters_of_any_name_are_set(folder: Path) -> None:
    parameters = [{"type": "WorkflowParameter", "name": name} for name in NAMES]
    data = {f"v{place}": f"$inputs.{name}" for place, name in enumerate(NAMES)}
    template = " ".join(f"{{{key}}}" for key in data)
    names = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}, *parameters],
        "steps": [{"type": "vision/string_template@v1", "name": "t", "template": template, "data": data}],
        "outputs": [{"type": "JsonField", "name": "text", "selector": "$steps.t.output"}],
    }  # fmt: skip
    (folder / "names.json").write_text(json.dumps(names))
    given = [part for place, name in enumerate(NAMES) for part in ("--set", f"{name}=v{place}")]
    done = workflow("run", "names.json", "images", *given, "--json", "--timeout", "60", cwd=folder)
    assert done.returncode == 0, done.stderr
    texts = [json.loads(line)["outputs"]["text"] for line in done.stdout.splitlines()]
    assert texts == [" ".join(data)] * 2
    missing = workflow("run", "names.json", "images", cwd=folder)
    assert missing.returncode == 2 and "timeout: missing" in missing.stderr


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "9" * 5000, "[" * 100_000, "{broken"])
def test_what_is_no_json_is_set_as_a_text(folder: Path, value: str) -> None:
    done = workflow("run", "w.json", "images/i20.png", "--set", f"by={value}", "--json", cwd=folder)
    assert done.returncode == 0 and json.loads(done.stdout)["outputs"]["text"] == f"20 by {value}"


def test_images_are_not_set(folder: Path) -> None:
    done = workflow("run", "w.json", "images", "--set", "image=images/i20.png", cwd=folder)
    assert done.returncode == 2 and "image: given twice" in done.stderr


def test_files_of_one_stem_do_not_overwrite_each_other(folder: Path) -> None:
    (folder / "more").mkdir()
    cv2.imwrite(str(folder / "more" / "i20.jpg"), np.zeros((10, 50, 3), np.uint8))
    workflow("run", "w.json", "images/i20.png", "more/*.jpg", "--out", "out", cwd=folder)
    assert sorted(path.name for path in (folder / "out").glob("*.png")) == ["i20.grey.png", "i20_2.grey.png"]


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_results_are_not_overwritten_unless_asked(folder: Path) -> None:
    def run(*how: str) -> subprocess.CompletedProcess[str]:
        return workflow("run", "w.json", "images", "--set", "by=ten", "--out", "out", *how, cwd=folder)

    assert run().returncode == 0
    refused = run()
    assert refused.returncode == 2 and "--resume goes on" in refused.stderr and len(lines_of(folder / "out")) == 2
    assert run("--overwrite").returncode == 0 and len(lines_of(folder / "out")) == 2
    assert run("--resume", "--retry").returncode == 2
    assert workflow("run", "w.json", "images", "--resume", cwd=folder).returncode == 2


def test_a_resumed_run_does_what_is_left_and_what_has_changed(folder: Path) -> None:
    cv2.imwrite(str(folder / "images" / "i40.png"), np.zeros((10, 40, 3), np.uint8))
    workflow("run", "w.json", "images/i20.png", "images/i30.png", "--out", "out", cwd=folder)
    cv2.imwrite(str(folder / "images" / "i30.png"), np.zeros((10, 31, 3), np.uint8))
    with (folder / "out" / "results.jsonl").open("a") as file:
        file.write('{"input": "images/i40.png", "dig')  # what a killed run leaves
    done = workflow("run", "w.json", "images", "--out", "out", "--resume", cwd=folder)
    assert done.returncode == 0 and "2 results in out, 1 were there already" in done.stderr
    assert [line["outputs"]["text"] for line in lines_of(folder / "out")] == ["20 by x", "31 by x", "40 by x"]


def test_failed_images_are_retried_alone(folder: Path) -> None:
    broken = folder / "images" / "i25.png"
    broken.write_bytes(b"broken")
    failed = workflow("run", "w.json", "images", "--out", "out", cwd=folder)
    assert failed.returncode == 1 and "--retry does their images again" in failed.stderr
    cv2.imwrite(str(broken), np.zeros((10, 25, 3), np.uint8))
    done = workflow("run", "w.json", "images", "--out", "out", "--retry", cwd=folder)
    assert done.returncode == 0 and "1 results in out, 2 were there already" in done.stderr
    assert sorted(line["outputs"]["text"] for line in lines_of(folder / "out")) == ["20 by x", "25 by x", "30 by x"]
    assert not any(line["errors"] for line in lines_of(folder / "out"))


def test_a_run_killed_at_any_moment_goes_on_with_nothing_lost_or_done_twice(tmp_path: Path) -> None:
    blur = {"type": "vision/image_blur@v1", "name": "b", "image": "$inputs.image", "blur_type": "bilateral", "kernel_size": 15}
    slow = {
        **WIDTHS,
        "steps": [*WIDTHS["steps"], blur],  # type: ignore[misc]
        "outputs": [*WIDTHS["outputs"], {"type": "JsonField", "name": "b", "selector": "$steps.b.image"}],
    }  # type: ignore[misc]
    (tmp_path / "w.json").write_text(json.dumps(slow))
    images = tmp_path / "images"
    images.mkdir()
    for width in range(500, 548):
        cv2.imwrite(str(images / f"i{width}.png"), np.random.default_rng(width).integers(0, 255, (400, width, 3), np.uint8))
    command = [sys.executable, "-c", "from workflow_engine.cli import main; main()", "run", "w.json", "images", "--out", "out",
               "--batch", "2", "--resume"]  # fmt: skip
    rng, kills, results = random.Random(0), 0, tmp_path / "out" / "results.jsonl"
    for _ in range(60):
        before = results.stat().st_size if results.exists() else 0
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while kills < 6 and process.poll() is None and not (results.exists() and results.stat().st_size > before + 500):
            time.sleep(0.005)
        if kills < 6:
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
            kills += 1
        if process.wait() == 0:
            break
    lines = lines_of(tmp_path / "out")
    assert kills >= 2 and sorted(line["outputs"]["text"] for line in lines) == [f"{width} by x" for width in range(500, 548)]
    assert all(cv2.imread(str(tmp_path / "out" / line["outputs"]["b"])) is not None for line in lines)


def test_without_out_a_summary_is_printed_and_with_json_a_line_per_image(folder: Path) -> None:
    assert "text: 20 by x" in workflow("run", "w.json", "images/i20.png", cwd=folder).stdout
    (line,) = workflow("run", "w.json", "images/i20.png", "--json", cwd=folder).stdout.splitlines()
    assert json.loads(line)["outputs"]["grey"]["type"] == "base64"


def test_a_broken_image_fails_alone_and_the_exit_code_says_so(folder: Path) -> None:
    (folder / "images" / "i25.png").write_bytes(b"broken")
    done = workflow("run", "w.json", "images", "--out", "out", "--steps", cwd=folder)
    lines = [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text().splitlines()]
    assert done.returncode == 1 and [line["outputs"]["text"] for line in lines] == ["20 by x", None, "30 by x"]
    assert "cannot be decoded" in lines[1]["errors"][0] and lines[0]["errors"] == []
    assert "elements  done  skipped" in done.stderr
    assert workflow("run", "w.json", "images", "--stop-on-error", cwd=folder).returncode == 2


def test_as_many_images_a_batch_as_anyone_can_write_are_all(folder: Path) -> None:
    done = workflow("run", "w.json", "images", "--batch", "9" * 20, "--timeout", "1e300", "--json", cwd=folder)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2


def test_with_quiet_nothing_is_said_of_what_went_well(folder: Path) -> None:
    (folder / "images" / "notes.txt").write_text("notes")
    done = workflow("run", "w.json", "images", "--quiet", "--out", "out", "--report", "r.html", cwd=folder)
    assert done.returncode == 0 and done.stdout == done.stderr == "" and (folder / "r.html").stat().st_size > 1000


def test_a_workflow_without_images_runs_once(folder: Path) -> None:
    plain = {"version": "1.0", "steps": [{"type": "vision/string_template@v1", "name": "t", "template": "hi"}],
             "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.t.output"}]}  # fmt: skip
    (folder / "p.json").write_text(json.dumps(plain))
    assert "o: hi" in workflow("run", "p.json", cwd=folder).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "missing.json", "images"], "missing.json: cannot be read"),
        (["run", "w.json"], "`image` needs images"),
        (["run", "w.json", ""], "an empty name is no image"),
        (["run", "w.json", "nothing.png"], "`nothing.png` is no file"),
        (["run", "w.json", "*.gif"], "matches no files"),
        (["run", "w.json", "images", "--set", "bye=1"], "did you mean `by`?"),
        (["run", "w.json", "images", "--set", "by"], "name=value would fit"),
        (["run", "w.json", "images", "--timeout", "nan"], "'--timeout'"),
        (["run", "w.json", "images", "--input", "imag"], "did you mean `image`?"),
        (["run", "w.json", "images", "--out", "w.json"], "cannot be written"),
        (["run", "w.json", "http://127.0.0.1:9/x.png"], "--allow-urls"),
        (["blocks", "vision/dynamic_corp@v1"], "did you mean `vision/dynamic_crop@v1`"),
        (["schema", "nope"], "no block `nope`"),
    ],
)
def test_a_wrong_argument_is_told_and_ends_with_two(folder: Path, arguments: list[str], said: str) -> None:
    done = workflow(*arguments, cwd=folder)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_check_tells_every_problem_with_its_place(folder: Path) -> None:
    wrong = {
        **WIDTHS,
        "steps": [{"type": "vision/blurr@v1", "name": "a"}, {"type": "vision/convert_grayscale@v1", "name": "b"}],
    }
    (folder / "wrong.json").write_text(json.dumps(wrong))
    done = workflow("check", "w.json", "wrong.json", cwd=folder)
    assert done.returncode == 2 and "w.json: ok" in done.stdout
    assert "wrong.json: steps[0].type: unknown block type `vision/blurr@v1`" in done.stderr
    assert "wrong.json: steps[1].image: required and missing" in done.stderr
    found = json.loads(workflow("check", "wrong.json", "--json", cwd=folder).stdout)
    assert {problem["place"] for problem in found[0]["problems"]} >= {"steps[0].type", "steps[1].image"}


def test_blocks_lists_all_and_shows_one() -> None:
    listed = workflow("blocks").stdout
    assert "florence/object_detection@v1" in listed and "vision/dynamic_crop@v1" in listed
    shown = workflow("blocks", "DynamicCrop").stdout
    assert "padding  (default 0)  integer at least 0 at most 1000000, or a reference" in shown and "crops  image" in shown
    assert json.loads(workflow("blocks", "florence/ocr@v1", "--json").stdout)["outputs"] == {
        "text": ["string", "language_model_output"],
        "confidence": ["float_zero_to_one"],
    }


def test_checking_and_listing_import_nothing_heavy() -> None:
    code = (
        "import sys; from workflow_engine.cli import main\n"
        "try: main()\nexcept SystemExit: print([m for m in ('torch', 'transformers', 'supervision', 'cv2', 'numpy') "
        "if m in sys.modules])"
    )
    for arguments in (["check", str(MAIN)], ["blocks"], ["schema"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_main_example_runs_from_the_command_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "scene.png"), draw_scene(5, width=320, height=320, shapes=3, words=1).image)
    done = workflow("run", MAIN, tmp_path / "scene.png", "--out", tmp_path / "out", "--steps")
    assert done.returncode == 0, done.stderr
    line = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert line["outputs"]["picture"] == "scene.picture.png" and (tmp_path / "out" / "scene.picture.png").exists()
    assert len(line["outputs"]["captions"]) == len(line["outputs"]["objects"]["predictions"])


def test_a_profile_shows_the_steps_and_the_model_behind_them(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "scene.png"), draw_scene(5).image)
    done = workflow("run", MAIN, tmp_path / "scene.png", "--out", tmp_path / "out", "--profile", "--steps")
    assert re.search(r"1 image in [\d.:]+( s)?, [\d.:]+( s)? of it loading models, else [\d.]+ images/s", done.stderr), (
        done.stderr
    )
    assert any(float(line.split()[-1]) > 0.05 for line in done.stderr.splitlines() if line.startswith("detect ")), "loading"
    assert done.returncode == 0, done.stderr
    events = json.loads((tmp_path / "out" / "trace.json").read_text())["traceEvents"]
    names = {event["name"] for event in events if event["ph"] == "X"}
    steps = {step["name"] for step in json.loads(MAIN.read_text())["steps"]}
    assert steps | {"vision", "encode", "decode", "preprocess", "requests"} <= names
    vision = next(line for line in done.stderr.splitlines() if " vision " in line)
    assert re.search(r"images \d+  hits \d+", vision)
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in events if event["ph"] == "X")


def test_a_model_that_cannot_be_loaded_ends_the_run_once(folder: Path) -> None:
    caption = {"type": "florence/caption@v1", "name": "c", "images": "$inputs.image", "model_id": "$inputs.model"}
    definition = {
        "version": "1.0",
        "inputs": [*WIDTHS["inputs"], {"type": "WorkflowParameter", "name": "model", "default_value": "florence-2-demo"}],
        "steps": [caption],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.c.caption"}],
    }
    (folder / "caption.json").write_text(json.dumps(definition))
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    done = workflow("run", folder / "caption.json", folder / "images", "--batch", 1, "--set", f"model={folder / 'model'}")
    assert done.returncode == 2 and done.stderr.count("cannot be used: it is a checkpoint of type None") == 1
    done = workflow("run", folder / "caption.json", folder / "images", "--set", "model=florence-2-bse")
    assert done.returncode == 2 and done.stderr.count("did you mean `florence-2-base`") == 1


def test_the_process_waits_for_steps_that_a_run_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def leave_a_step() -> None:
        threading.Thread(target=lambda: ended.wait(0.2) or ended.set(), name=f"{STEP_THREAD}slow", daemon=True).start()
        raise WorkflowError("the run is over")

    monkeypatch.setattr(app, "app", leave_a_step)
    with pytest.raises(SystemExit):
        app.main()
    assert ended.is_set()


def test_the_settings_of_florence_are_options(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "scene.png"), draw_scene(5).image)
    run = ("run", MAIN, tmp_path / "scene.png", "--json")
    usual, coarse = workflow(*run).stdout, workflow(*run, "--dtype", "bfloat16").stdout
    exact = workflow(*run, "--device", "cpu", "--dtype", "float32", "--feature-bytes", "0").stdout
    assert usual == exact != coarse, "a lower precision shows in the confidences"
    for option, wrong, said in (
        ("--device", "gpu", "cpu"),
        ("--dtype", "int8", "bfloat16"),
        ("--feature-bytes", "few", "500000000"),
    ):
        refused = workflow(*run, option, wrong)
        assert refused.returncode == 2 and option in refused.stderr and said in refused.stderr


def test_the_shell_completes_block_names() -> None:
    command = [sys.executable, "-c", "from workflow_engine.cli import main; main()"]
    asked = {"_WORKFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "workflow blocks vision/csv", "COMP_CWORD": "2"}
    code = "import sys; sys.argv = ['workflow']; from workflow_engine.cli import main; main()"
    done = subprocess.run([*command[:2], code], env={**os.environ, **asked}, capture_output=True, text=True)
    assert done.stdout.split() == ["vision/csv_formatter@v1"], done.stdout + done.stderr


@pytest.mark.slow
def test_a_folder_ten_times_as_large_takes_no_more_memory(tmp_path: Path) -> None:
    definition = {**WIDTHS, "outputs": WIDTHS["outputs"][:1]}
    (tmp_path / "w.json").write_text(json.dumps(definition))
    image = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))[1].tobytes()
    peaks = []
    for count in (1000, 10_000):
        folder = tmp_path / f"i{count}"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.png").write_bytes(image)
        code = (
            "import resource, sys\nfrom workflow_engine.cli import main\n"
            "try:\n    main()\nfinally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        command = [sys.executable, "-c", code, "run", "w.json", folder.name, "--out", f"o{count}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert len(lines_of(tmp_path / f"o{count}")) == count, done.stderr
        peaks.append(int(done.stderr.split()[-1]) / 1024)
    assert peaks[1] < peaks[0] + 25, peaks  # MiB: names and digests of files, not their pixels (110 MiB)
