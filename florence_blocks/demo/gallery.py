"""The gallery: every example workflow on a drawn scene, with a picture of its result.

    python -m florence_blocks.demo.gallery [FOLDER]

FOLDER holds the examples (`example_workflows` by default); their pictures go to its `images`, its `README.md` shows them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from florence_blocks.demo.film import Film, draw_film
from florence_blocks.demo.plates import FOLDER, draw_plates
from florence_blocks.demo.scenes import Pixels, Shape, Word, draw_scene
from workflow_engine import compile
from workflow_engine.data import Image

TILE = 240
_HEAD = """# Examples

Each is one JSON file, shown on a drawn scene that the embedded model knows; for photographs, `--set model=florence-2-base`.
The page is made by `python -m florence_blocks.demo.gallery`.
"""


@dataclass(frozen=True)
class Picture:
    """An image with what was drawn on it."""

    image: Pixels
    shapes: tuple[Shape, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Exhibit:
    """One example: its file, the picture or film it is shown on, and its parameters."""

    name: str
    shown_on: Callable[[], Picture | Film]
    parameters: dict[str, Any] = field(default_factory=dict)


def scene(seed: int, size: int = 320, **drawn: Any) -> Callable[[], Picture]:
    """A drawn scene."""

    def draw() -> Picture:
        made = draw_scene(seed, width=size, height=size, **drawn)
        return Picture(made.image, tuple(made.shapes), tuple(made.words))

    return draw


def wide() -> Picture:
    """A picture of three by three tiles, a shape in each: too small for a model that sees the whole."""
    image, shapes = draw_scene(69, width=3 * TILE, height=3 * TILE, shapes=0, words=0).image.copy(), []
    for place in range(9):
        shape = draw_scene(60 + place, width=TILE, height=TILE, shapes=1, words=0).shapes[0]
        shapes.append(shape.moved(place % 3 * TILE, place // 3 * TILE))
        shapes[-1].paint(image)
    return Picture(image, tuple(shapes), ())


EXHIBITS = (
    Exhibit("detect_filter_crop_read", scene(41, shapes=3, words=1)),
    Exhibit("describe_a_scene", scene(43, shapes=3, words=1)),
    Exhibit("caption_ground_segment", scene(41, shapes=3, words=1)),
    Exhibit("outline_everything", scene(46, shapes=4, words=0)),
    Exhibit("read_a_document", scene(46, shapes=0, words=2)),
    Exhibit("count_behind_a_gate", scene(56, shapes=4, words=0), {"classes": ["square", "circle"]}),
    Exhibit("classify_proposals", scene(47, shapes=3, words=1)),
    Exhibit("blur_what_a_phrase_names", scene(48, shapes=3, words=0), {"phrase": "the star"}),
    Exhibit("large_image_in_slices", wide),
    Exhibit("compare_two_models", scene(49, shapes=2, words=1)),
    Exhibit("dense_captions_as_a_poster", scene(50, shapes=4, words=0)),
    Exhibit("ask_a_fine_tune", scene(51, shapes=1, words=1)),
    Exhibit("sort_pictures", scene(52, shapes=2, words=0)),
    Exhibit("track_and_count", lambda: draw_film(3)),
)


def show(folder: Path, exhibit: Exhibit) -> tuple[Picture, dict[str, Any]]:
    """An example's picture, and what its workflow gives for it; of a film, both of the last frame.

    Raises:
        StepError: a step failed.
    """
    shown = exhibit.shown_on()
    workflow = compile(folder / f"{exhibit.name}.json")
    if isinstance(shown, Picture):
        return shown, workflow.run(image=shown.image, on_error="raise", **exhibit.parameters).outputs[0]
    frames = [Image(frame.image, seconds=number / shown.rate) for number, frame in enumerate(shown)]
    with workflow.stream(frames, on_error="raise", **exhibit.parameters) as stream:
        *_, last = stream
    return Picture(frames[-1].bgr, shown.scenes[-1].shapes, ()), last.outputs


def hang(folder: Path) -> str:
    """Write every picture, and give the page that shows them."""
    (folder / "images").mkdir(exist_ok=True)
    page = [_HEAD]
    for exhibit in EXHIBITS:
        definition = json.loads((folder / f"{exhibit.name}.json").read_text(encoding="utf-8"))
        _, row = show(folder, exhibit)
        title = definition["name"]
        cv2.imwrite(str(folder / "images" / f"{exhibit.name}.png"), row["picture"].bgr)
        page += [f"## {title}", "", f"{definition['description']} [`{exhibit.name}.json`]({exhibit.name}.json)", "",
                 f"![{title}](images/{exhibit.name}.png)", ""]  # fmt: skip
        said = [f"`{name}`: {value:.3f}" if isinstance(value, float) else f"`{name}`: {value}" for name, value in row.items()
                if isinstance(value, (str, int, float))]  # fmt: skip
        said = [text for text in said if "\n" not in text]
        page += ["; ".join(said), ""] if said else []
    page.append(draw_plates(folder / "images" / FOLDER))
    return "\n".join(page)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m florence_blocks.demo.gallery", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("folder", type=Path, nargs="?", default=Path("example_workflows"))
    folder = parser.parse_args().folder
    (folder / "README.md").write_text(hang(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
