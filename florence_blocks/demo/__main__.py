"""`python -m florence_blocks.demo`: the main job on a drawn scene, offline.

Detect, filter, crop, caption and read each crop, and draw a labelled picture.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.resources import files
from pathlib import Path

import cv2

from florence_blocks.demo.corpus import article
from florence_blocks.demo.scenes import draw_scene
from workflow_engine import compile

DEFAULT_SEED = 8


def main() -> int:
    """Draw, run, print; the exit code says whether all went well."""
    parser = argparse.ArgumentParser(prog="python -m florence_blocks.demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="which scene")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder for the pictures")
    options = parser.parse_args()
    started = time.perf_counter()
    scene = draw_scene(options.seed, width=480, height=480, shapes=4, words=2)
    workflow = compile(files("florence_blocks.demo").joinpath("workflow.json").read_text(encoding="utf-8"))
    result = workflow.run(image=scene.image)
    (row,) = result.outputs
    drawn = [article(shape.name) for shape in scene.shapes] + [f"the word {word.text}" for word in scene.words]
    print(f"drawn   {', '.join(drawn)}")
    for box, label, caption, text in zip(
        row["objects"].xyxy, row["objects"].data["class_name"], row["captions"], row["texts"], strict=True
    ):
        place = ", ".join(f"{edge:.0f}" for edge in box)
        print(f"found   {label:16} at ({place})  caption: {caption!r}" + (f"  text: {text!r}" if text else ""))
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out / "scene.png"), scene.image)
    (options.out / "picture.png").write_bytes(row["picture"].png())
    for error in result.report.errors:
        print(f"failed  {error}", file=sys.stderr)
    print(f"took    {time.perf_counter() - started:.1f} s, loading the model included")
    print(f"picture {options.out / 'picture.png'}")
    return 0 if result.report.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
