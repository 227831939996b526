"""Images named on the command line: which are taken, in which order, and what is said about the others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.cli.test_cli import WIDTHS, workflow
from workflow_engine.cli.files import ImageFolder
from workflow_engine.cli.found import Found, SourceError, find_images


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(name, np.zeros((4, 6, 3), np.uint8)) if path.suffix in (".png", ".jpg") else path.touch()


def taken(*sources: str, **options: Any) -> list[str]:
    return [str(image) for image in find_images(list(sources), **options).images]


def test_numbers_in_names_are_ordered_by_their_values() -> None:
    put("f/i10.png", "f/i2.png", "f/I1.png", "f/i2b.png", "f/b.png", "f/10.png", "f/9.png", "f/i02.png")
    assert taken("f") == [f"f/{name}.png" for name in ("9", "10", "b", "I1", "i02", "i2", "i2b", "i10")]
    assert taken("f/*.png") == taken("f") == taken("f")


def test_formats_that_pillow_reads_are_taken_and_others_are_told() -> None:
    put("f/0.JPG", "f/1.png", "f/2.gif", "f/3.avif", "f/4.jp2", "f/5.webp", "f/6.tiff", "f/7.bmp", "f/8.ppm", "f/9.tga")
    put("f/a.heic", "f/b.heic", "f/notes.txt", "f/noext", "f/clip.mp4", "f/.hidden.png", "f/.DS_Store")
    found = find_images(["f"])
    assert len(found.images) == 10
    (note,) = found.notes
    assert note.startswith("`f`: left out 5 files in formats that are not read (2 .heic, 1 ")
    assert "1 .txt" in note and "1 without a suffix" in note and "--video FILE" in note and note.endswith("2 hidden")


def test_folders_inside_are_told_and_taken_on_request() -> None:
    put("f/b.png", "f/sub/a.png", "f/sub/deep/c.jpg", "f/sub/x.txt", "f/a.png/d.png")
    found = find_images(["f"])
    assert found == Found([Path("f/b.png")], ["`f`: left out 3 images in sub-folders, which --recursive takes"])
    every = find_images(["f"], recursive=True)
    assert [str(image) for image in every.images] == ["f/a.png/d.png", "f/b.png", "f/sub/a.png", "f/sub/deep/c.jpg"]
    assert every.notes == ["`f`: left out 1 file in formats that are not read (1 .txt)"]


def test_links_are_images_and_links_to_folders_are_no_way_around_in_circles() -> None:
    put("f/a.png", "elsewhere/b.png")
    Path("f/link.png").symlink_to(Path("elsewhere/b.png").resolve())
    Path("f/gone.png").symlink_to("nowhere.png")
    Path("f/round").symlink_to(Path("f").resolve())
    found = find_images(["f"], recursive=True)
    assert [image.name for image in found.images] == ["a.png", "gone.png", "link.png"]
    assert found.notes == ["`f`: left out 1 link to folders"]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["empty"], "`empty` holds no images$"),
        (["texts"], r"`texts` holds no images: 2 files in formats that are not read \(2 .txt\)"),
        (["above"], "`above` holds no images: 1 image in sub-folders, which --recursive takes"),
        (["nothing.png"], "`nothing.png` is no file, folder or pattern"),
        (["x" * 300], "is no file, folder or pattern"),
        (["*.gif"], "`\\*.gif` matches no files"),
        (["clip.mp4"], "is a video; --video clip.mp4"),
        (["empty", "nothing.png"], "`nothing.png` is no file.*; `empty` holds no images"),
        (["http://127.0.0.1:9/a.png"], "--allow-urls"),
    ],
)
def test_what_gives_no_images_at_all_is_told(sources: list[str], said: str) -> None:
    put("empty/.keep", "texts/a.txt", "texts/b.txt", "above/f/a.png", "clip.mp4")
    Path("empty/.keep").unlink()
    with pytest.raises(SourceError, match=said):
        find_images(sources)


def test_one_source_without_images_does_not_stop_the_others() -> None:
    put("a.png", "f/b.png", "clip.mp4")
    Path("empty").mkdir()
    Path("gone.png").symlink_to("nowhere.png")
    found = find_images(["a.png", "empty", "missing.png", "gone.png", "*.gif", "clip.mp4", "f", "a.png", "f/b.png"])
    assert [str(image) for image in found.images] == ["a.png", "missing.png", "gone.png", "f/b.png"]
    assert found.notes == ["`empty` holds no images", "`*.gif` matches no files",
                           "`clip.mp4` is a video; --video clip.mp4 would read its frames",
                           "given: 2 images more than once"]  # fmt: skip


def test_folders_among_matches_are_told() -> None:
    put("f/a.png", "f/b/c.png")
    assert find_images(["f/*"]).notes == ["`f/*`: left out 1 folder among the matches"]
    assert taken("f/**/*.png") == ["f/a.png", "f/b/c.png"] and find_images(["f/**"]).notes == []


def test_a_name_with_brackets_is_a_file_where_it_is_there() -> None:
    put("a[1].png", "a1.png")
    assert taken("a[1].png") == ["a[1].png"] and taken("a[2-9].png", "a?.png") == ["a1.png"]


def test_names_of_results_differ_for_files_of_one_name_in_whatever_case(here: Path) -> None:
    names = ImageFolder(here)
    sources = ["f/a.png", "f/sub/a.png", "f/A.jpg", "f/a_2.png", "g/a_2.png"]
    given = [names.name(source) for source in sources]
    assert len({name.casefold() for name in given}) == 5 and given[0] == "a"
    assert [names.name(source) for source in sources] == given


def test_a_run_of_a_folder_with_what_cannot_be_read(here: Path) -> None:
    Path("w.json").write_text(json.dumps(WIDTHS))
    put("f/a.png", "f/sub/a.png", "f/sub/note.txt")
    Path("f/gone.png").symlink_to("nowhere.png")
    os.mkfifo("f/pipe.png")
    done = workflow("run", "w.json", "f", "--recursive", "--out", "out", "--batch", "2", cwd=here)
    assert done.returncode == 1 and "left out 1 file" in done.stderr
    assert "f/gone.png: $inputs.image, element [1]: ImageError: `f/gone.png` is a link to nothing" in done.stderr
    assert "f/pipe.png: $inputs.image, element [2]: ImageError" in done.stderr
    lines = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["a", "gone", "pipe", "a_2"]
    put("f/0/a.png")
    again = workflow("run", "w.json", "f", "--recursive", "--out", "out", "--retry", cwd=here)
    assert again.returncode == 1
    names = {line["input"]: line["name"] for line in map(json.loads, Path("out/results.jsonl").read_text().splitlines())}
    assert names["f/a.png"] == "a" and names["f/sub/a.png"] == "a_2" and names["f/0/a.png"] not in ("a", "a_2")
