"""`workflow graph` and `workflow run --report`; the page is opened in a real browser where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytest
from PIL import Image as PilImage

from florence_blocks.demo import draw_scene
from tests.cli.test_cli import EXAMPLES, MAIN, WIDTHS, folder, workflow

__all__ = ["folder"]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROBE = """<script>addEventListener("load", () => {
  const uses = [...document.querySelectorAll("use")].map(use => use.getBBox());
  document.body.dataset.probe = JSON.stringify({
    broken: [...document.images].filter(image => !image.naturalWidth).length,
    images: document.images.length,
    pictures: uses.filter(box => box.width > 10 && box.height > 10).length,
    uses: uses.length,
    outlines: document.querySelectorAll("polygon").length,
    dangling: [...document.querySelectorAll("a")].map(a => a.getAttribute("href") || a.getAttribute("xlink:href"))
      .filter(href => href && href.startsWith("#") && !document.getElementById(href.slice(1))).length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    outside: [...document.querySelectorAll("script,link,img")].filter(tag => /^http/.test(tag.src || tag.href || "")).length,
    headings: [...document.querySelectorAll("h2[id$=shown]")].map(heading => heading.innerText),
    tiles: document.querySelectorAll(".tile").length,
    crops: [...document.querySelectorAll(".tile")].filter(tile => tile.querySelector(".name")).length,
    failing: document.querySelectorAll("#errors + .sheet .tile").length,
    text: document.body.innerText,
  });
});</script>"""


def opened(page: Path) -> dict[str, Any]:
    """What a browser makes of a page."""
    if BROWSER is None:
        pytest.skip("needs Chromium")
    probe = page.with_name("probe.html")
    probe.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom",
               "--window-size=1200,900", f"--user-data-dir={page.parent / 'browser'}", probe.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found, done.stderr
    return dict(json.loads(html.unescape(found[1])))


def test_a_report_shows_graph_pictures_values_and_times(tmp_path: Path) -> None:
    for seed in (41, 42):
        cv2.imwrite(str(tmp_path / f"s{seed}.png"), draw_scene(seed, width=320, height=320, shapes=3, words=1).image)
    done = workflow("run", MAIN, "s41.png", "s42.png", "--report", "sub/r.html", "--report-images", "1", cwd=tmp_path)
    assert done.returncode == 0 and "report in sub/r.html" in done.stderr, done.stderr
    assert "$" not in done.stdout
    seen = opened(tmp_path / "sub" / "r.html")
    assert seen["broken"] == seen["dangling"] == seen["outside"] == 0 and seen["overflow"] <= 0
    assert seen["images"] >= 4 + 2 and seen["pictures"] == seen["uses"] >= 4  # crops, two drawings; overlays
    assert seen["outlines"] >= 4 * 3
    for said in ("Detect, filter, crop, caption and read", "2 results, 0 failed", "s41.png", "purple star", "A purple star."):
        assert said in seen["text"]
    assert seen["headings"] == ["s41.png"], "the steps of the first image alone"
    assert seen["tiles"] == 2 + seen["crops"] and seen["crops"] >= 3, "every image at a glance, and every crop with its texts"
    for fact in ("date", "packages", "parameters", "weights", "florence-2-demo"):
        assert fact in seen["text"]


def test_a_report_says_what_failed_and_was_skipped(folder: Path) -> None:
    (folder / "images" / "broken.png").write_bytes(b"no image <script>alert(1)</script>")
    done = workflow("run", "w.json", "images", "--report", "r.html", "--out", "out", cwd=folder)
    assert done.returncode == 1
    lines = (folder / "out" / "results.jsonl").read_text().splitlines()
    assert all(set(json.loads(line)["outputs"]) == {"text", "grey"} for line in lines)
    seen = opened(folder / "r.html")
    assert "Failing images" in seen["text"] and seen["failing"] == 1 and "broken.png" in seen["text"] and seen["broken"] == 0
    assert "3 results, 1 failed" in seen["text"] and "20 by x" in seen["text"]


def test_a_workflow_without_images_has_a_report_too(folder: Path) -> None:
    plain = {"version": "1.0", "inputs": [{"type": "WorkflowParameter", "name": "by", "default_value": "<b>x</b>"}],
             "steps": [{**WIDTHS["steps"][1], "template": "{by}", "data": {"by": "$inputs.by"}}],
             "outputs": [WIDTHS["outputs"][0]]}  # fmt: skip
    (folder / "plain.json").write_text(json.dumps(plain))
    done = workflow("run", "plain.json", "--report", "r.html", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "<b>x</b>" in opened(folder / "r.html")["text"]


def test_graph_prints_mermaid_and_writes_pictures(tmp_path: Path) -> None:
    example = EXAMPLES / "sort_pictures.json"
    text = workflow("graph", example).stdout
    assert text.startswith("flowchart TD\n") and "-. gate .->" in text
    for name in ("g.svg", "g.png", "g.mmd", "deep/g.md"):
        done = workflow("graph", example, "--out", name, cwd=tmp_path)
        assert done.returncode == 0 and f"wrote {name}" in done.stderr
    assert (tmp_path / "g.svg").read_text().lstrip().startswith("<?xml")
    assert PilImage.open(tmp_path / "g.png").width > 300
    assert (tmp_path / "g.mmd").read_text() == text and (tmp_path / "deep" / "g.md").read_text() == f"```mermaid\n{text}```\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["graph", "w.json", "--out", "g.gif"], "--out g.gif: .svg, .png, .mmd or .md would fit"),
        (["graph", "w.json", "--out", "w.json/g.svg"], "--out w.json/g.svg cannot be written: "),
        (["graph", "absent.json"], "absent.json"),
        (["run", "w.json", "images", "--report", "r.pdf"], "--report r.pdf: a page of HTML is written"),
        (["run", "w.json", "images", "--report", "w.json/r.html"], "w.json/r.html cannot be written: "),
    ],
)
def test_what_does_not_fit_is_told(folder: Path, arguments: list[str], said: str) -> None:
    done = workflow(*arguments, cwd=folder)
    assert done.returncode == 2 and said in done.stderr and not done.stdout, done.stderr
