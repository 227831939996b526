"""`workflow run --video`, on a drawn film and on clips of plain frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from florence_blocks.demo import draw_film
from tests.cli.test_cli import EXAMPLES, WIDTHS, folder, lines_of, workflow
from workflow_engine import Image, Video, VideoWriter

__all__ = ["folder"]


@pytest.fixture
def clip(folder: Path) -> Path:
    """Twenty frames of 32x24 pixels, ten a second."""
    with VideoWriter(folder / "clip.mp4", 10) as writer:
        for number in range(20):
            writer.write(Image(np.full((24, 32, 3), 10 * number, np.uint8)))
    return folder


def beside(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


def test_a_film_is_tracked_counted_and_drawn(tmp_path: Path) -> None:
    film = draw_film(3)
    with VideoWriter(tmp_path / "in.mp4", film.rate) as writer:
        for scene in film:
            writer.write(Image(scene.image))
    done = workflow("run", EXAMPLES / "track_and_count.json", "--video", "in.mp4", "--out", "out.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 results in out.mp4" in done.stderr
    lines = beside(tmp_path / "out.mp4")
    assert [line["input"] for line in lines][:2] == ["in_00000000", "in_00000083"] and lines[12]["seconds"] == 1.0
    last = lines[-1]["outputs"]
    assert (last["to_the_right"], last["to_the_left"], last["picture"]) == (1, 1, "out.mp4")
    assert {found["class"] for found in last["tracks"]["predictions"]} == {shape.category for shape in film.scenes[0].shapes}
    again = workflow("run", EXAMPLES / "track_and_count.json", "--video", "in.mp4", "--out", "folder", "--resume", cwd=tmp_path)
    assert again.returncode == 2 and "step `track` remembers what came before" in again.stderr
    drawn, given = list(Video(tmp_path / "out.mp4")), list(Video(tmp_path / "in.mp4"))
    assert len(drawn) == len(given) == 24 and drawn[0].size == given[0].size
    lane = [round(sum(shape.box[1::2]) / 2) for shape in film.scenes[0].shapes]
    changed = np.abs(drawn[-1].bgr.astype(int) - given[-1].bgr).max(axis=2) > 25
    assert all(changed[y - 6 : y + 6, 60:180].any(axis=0).mean() > 0.9 for y in lane)  # the ways they came


def test_a_part_of_a_video_into_a_folder_which_goes_on(clip: Path) -> None:
    def run(*how: str) -> str:
        done = workflow("run", "w.json", "--video", "clip.mp4", "--set", "by=b", "--out", "out", *how, cwd=clip)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "4 results" in run("--stride", "2", "--from", "0.4", "--to", "1.2", "--batch", "3")
    assert [line["input"] for line in lines_of(clip / "out")] == [f"clip_{ms:08d}" for ms in (400, 600, 800, 1000)]
    assert sorted(path.name for path in (clip / "out").glob("*.png"))[0] == "clip_00000400.grey.png"
    assert "16 results in out, 4 were there already" in run("--resume")
    assert len({line["input"] for line in lines_of(clip / "out")}) == 20


def test_the_output_to_show_can_be_chosen(clip: Path) -> None:
    two = {**WIDTHS, "steps": [*WIDTHS["steps"], {"type": "vision/threshold@v1", "name": "cut", "image": "$inputs.image",
                                                  "thresh_value": 105, "max_value": 255, "threshold_type": "binary"}],
           "outputs": [*WIDTHS["outputs"], {"type": "JsonField", "name": "cut", "selector": "$steps.cut.image"}]}  # fmt: skip
    (clip / "two.json").write_text(json.dumps(two))
    done = workflow("run", "two.json", "--video", "clip.mp4", "--out", "made/out.mkv", "--show", "cut", cwd=clip)
    assert done.returncode == 0, done.stderr
    levels = [frame.bgr.mean() for frame in Video(clip / "made" / "out.mkv")]
    assert levels == pytest.approx([0] * 11 + [255] * 9, abs=8)
    assert beside(clip / "made" / "out.mkv")[0]["outputs"]["grey"] == "image 32x24"


def test_frames_that_fail_stay_in_the_video(clip: Path) -> None:
    picky = {**WIDTHS, "steps": [*WIDTHS["steps"], {"type": "vision/absolute_static_crop@v1", "name": "crop",
             "image": "$inputs.image", "x_center": 500, "y_center": 500, "width": 10, "height": 10}],
             "outputs": [{"type": "JsonField", "name": "crop", "selector": "$steps.crop.crops"}]}  # fmt: skip
    (clip / "picky.json").write_text(json.dumps(picky))
    workflow("run", "picky.json", "--video", "clip.mp4", "--out", "out.mp4", "--to", "0.5", cwd=clip)
    assert [frame.size for frame in Video(clip / "out.mp4")] == [(32, 24)] * 5 and len(beside(clip / "out.mp4")) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--video", "absent.mp4"], "`absent.mp4` cannot be opened as a video: No such file or directory"),
        (["--video", "w.json"], "`w.json` cannot be opened as a video: Invalid data found when processing input"),
        (["--video", "clip.mp4", "--from", "2", "--to", "1"], "0 <= start < end would fit"),
        (["--video", "clip.mp4", "--from", "1e30"], "1,000,000,000 seconds at most to leave out"),
        (["--video", "clip.mp4", "--to", "nan"], "0 <= start < end would fit"),
        (["--video", "clip.mp4", "--from", "99"], "--video clip.mp4 has no frames from 99 s on"),
        (["clip.mp4"], "`clip.mp4` is a video; --video clip.mp4 would read its frames"),
        (["--video", "clip.mp4", "images"], "images and --video exclude each other"),
        (["--video", "clip.mp4", "--show", "gray"], "--show gray: no such output (did you mean `grey`?)"),
        (["images", "--out", "o.mp4"], "a video is written of a video (--video); a folder would fit"),
        (["--video", "clip.mp4", "--out", "o.mp4", "--resume"], "a video is written from its beginning to its end"),
        (["--video", "clip.mp4", "--out", "old.mp4"], "old.mp4 is there already; --overwrite starts anew"),
        (["--video", "clip.mp4", "--out", "clip.mp4", "--overwrite"], "--out clip.mp4 is the video that is read"),
    ],
)
def test_what_does_not_fit_is_told(clip: Path, arguments: list[str], said: str) -> None:
    (clip / "old.mp4").write_bytes(b"old")
    before = (clip / "clip.mp4").read_bytes()
    done = workflow("run", "w.json", *arguments, cwd=clip)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert (clip / "clip.mp4").read_bytes() == before


def test_a_torn_video_gives_what_is_whole(clip: Path) -> None:
    with VideoWriter(clip / "torn.mkv", 10) as writer:
        for seed in range(40):
            pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            writer.write(Image(pixels))
    whole = (clip / "torn.mkv").read_bytes()
    (clip / "torn.mkv").write_bytes(whole[: len(whole) // 2])
    workflow("run", "w.json", "--video", "torn.mkv", "--out", "out.mp4", cwd=clip)
    count = len(beside(clip / "out.mp4"))
    assert 5 < count < 40 and len(list(Video(clip / "out.mp4"))) == count
