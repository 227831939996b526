"""What a run says meanwhile and at its end: progress, summary, interruption, tracebacks, version."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.cli.test_cli import WIDTHS, lines_of
from workflow_engine.cli import progress as shown
from workflow_engine.cli.app import app
from workflow_engine.cli.ending import Ending
from workflow_engine.profile import LOADING, loading, loading_apart, profiled
from workflow_engine.stream import StreamTotals

COMMAND = [sys.executable, "-c", "from workflow_engine.cli import main; main()", "run"]
SLOW = {"type": "vision/image_blur@v1", "name": "slow", "image": "$inputs.image", "blur_type": "bilateral", "kernel_size": 21}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.json").write_text(json.dumps(WIDTHS))
    steps: list[Any] = [*WIDTHS["steps"], SLOW]
    (tmp_path / "slow.json").write_text(json.dumps({**WIDTHS, "steps": steps, "outputs": [*WIDTHS["outputs"], {
        "type": "JsonField", "name": "blurred", "selector": "$steps.slow.image"}]}))  # fmt: skip
    (tmp_path / "images").mkdir()
    for width in (20, 30):
        cv2.imwrite(str(tmp_path / "images" / f"i{width}.png"), np.zeros((10, width, 3), np.uint8))
    return tmp_path


def run(*arguments: str) -> Result:
    """Run the command in this process, where the folder is."""
    return CliRunner().invoke(app, ["run", *arguments])


def test_the_summary_says_how_many_images_how_fast(folder: Path) -> None:
    done = run("w.json", "images")
    assert re.search(r"^2 images in [\d.]+ s, [\d.]+ images/s$", done.stderr, re.MULTILINE)
    assert "text: 20 by x" in done.stdout


def test_quiet_runs_say_nothing_but_errors(folder: Path) -> None:
    (folder / "images" / "i25.png").write_bytes(b"broken")
    done = run("w.json", "images", "--out", "out", "--quiet")
    assert done.stdout == "" and done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1 and "cannot be decoded" in done.stderr
    lines = run("w.json", "images/i20.png", "--quiet", "--json")
    assert json.loads(lines.stdout)["outputs"]["text"] == "20 by x" and lines.stderr == ""


def test_verbose_runs_print_tracebacks(folder: Path) -> None:
    slow = json.loads((folder / "slow.json").read_text())
    slow["steps"][-1].update(kernel_size=4, blur_type="median")
    (folder / "slow.json").write_text(json.dumps(slow))
    done = run("slow.json", "images", "--verbose")
    assert done.exit_code == 1 and 'raise ValueError(f"kernel_size=' in done.stderr
    strict = run("slow.json", "images", "--verbose", "--stop-on-error")
    assert "Traceback" in str(strict.exception) and "kernel_size=4" in str(strict.exception)
    assert "Traceback" not in run("slow.json", "images").stderr


def interrupted(folder: Path, *more: str, images: int = 30) -> subprocess.CompletedProcess[str]:
    """A run of many images that is interrupted after some of them."""
    for number in range(images):
        pixels = np.random.default_rng(number).integers(0, 255, (400, 400, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / f"m{number:03d}.png"), pixels)
    (folder / "images" / "i20.png").unlink(missing_ok=True)
    (folder / "images" / "i30.png").unlink(missing_ok=True)
    results = folder / "out" / "results.jsonl"
    process = subprocess.Popen([*COMMAND, "slow.json", "images", "--out", "out", "--batch", "1", *more], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    while process.poll() is None and not (results.exists() and results.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_an_interrupted_run_says_what_is_done_and_how_to_go_on_and_writes_its_report(folder: Path) -> None:
    done = interrupted(folder, "--report", "report.html")
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    kept = len(lines_of(folder / "out"))
    assert 0 < kept < 30
    assert f"interrupted: {kept} of 30 images are done; the same command with --resume goes on" in done.stderr
    assert f"{kept} results in out" in done.stderr and "<html" in (folder / "report.html").read_text()


def test_what_is_loaded_once_is_told_apart() -> None:
    with profiled(LOADING) as profile, loading_apart() as parts:
        with loading("a model"):
            time.sleep(0.02)
        with loading("a model that is there"):
            pass
    assert len(parts) == len(profile.spans) == 1 and parts[0] >= 0.02
    assert profile.seconds(LOADING) == pytest.approx(parts[0], abs=1e-6) and profile.seconds("steps") == 0


def test_seconds_that_overlap_count_once() -> None:
    with profiled() as profile:
        from workflow_engine.profile import record

        for started, ended in ((0, 4), (1, 3), (2, 6), (8, 9)):
            record("t", "x", started, ended)
    assert profile.seconds("t") == 7


def test_lines_come_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 20.0, 21.0])
    monkeypatch.setattr(shown.time, "monotonic", lambda: next(clock))
    with shown.progress(100) as moved:
        for done in (10, 20, 30, 60, 70):
            moved(done, 0)
    assert capsys.readouterr().err.splitlines() == [
        "20 of 100 images, 3.3 images/s, 24.0 s left",
        "60 of 100 images, 3.0 images/s, 13.3 s left",
    ]


def test_times_are_readable() -> None:
    assert [shown.clock(seconds) for seconds in (0.04, 59.9, 109, 7390)] == ["0.0 s", "59.9 s", "1:49", "2:03:10"]


def test_a_run_without_images_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    Ending(StreamTotals(), 1, False, None, 0.5, 0.0).summary()
    assert capsys.readouterr().err == "done in 0.5 s\n"


def seen(master: int) -> str:
    """Everything that a terminal shows until its last program ends."""
    parts = []
    with contextlib.suppress(OSError):  # what Linux says at the end
        while part := os.read(master, 4096):
            parts.append(part)
    os.close(master)
    return b"".join(parts).decode()


def on_terminal(folder: Path, *arguments: str, stdout: int | None = None) -> tuple[str, str]:
    """What a run prints on a terminal, and on standard output where that is none."""
    master, terminal = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, text=True, stderr=terminal, stdout=stdout or terminal,
                               env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})  # fmt: skip
    os.close(terminal)
    out = process.stdout.read() if process.stdout else ""
    shown = seen(master)
    assert process.wait() == 0, shown
    return shown, out


def test_a_terminal_gets_one_bar_and_results_stay_on_standard_output(folder: Path) -> None:
    shown, out = on_terminal(folder, "slow.json", "images", "--out", "out", stdout=subprocess.PIPE)
    assert "text: 20 by x" in out
    assert "2/2" in shown and "images" in shown and "2 results in out" in shown


def test_results_stand_above_the_bar(folder: Path) -> None:
    shown, _ = on_terminal(folder, "slow.json", "images")
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\r", shown))
    assert "  text: 20 by x" in lines and "images/i20.png" in lines


def test_the_trace_of_a_profile_lies_beside_the_results(folder: Path) -> None:
    without = run("w.json", "images", "--profile")
    assert "with --out FOLDER a trace" in without.stderr and not (folder / "trace.json").exists()
    run("w.json", "images", "--profile", "--out", "out")
    assert (folder / "out" / "trace.json").exists()


def test_the_version_is_told() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0 and re.fullmatch(r"workflow \d+\.\d+\.\d+ \(florence-blocks\)\n", done.stdout)
