"""Where this runtime differs from the Roboflow runtime on purpose: what each does, who is right, and the cases that show it.

    python -m tests.compat.differences

writes `docs/differences.md` anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        about: what it is about, in a few words.
        here: what this runtime does.
        there: what the other one does.
        right: who is right, and why.
        cases: the differential cases that show it, which hold what both give.
    """

    about: str
    here: str
    there: str
    right: str
    cases: tuple[str, ...] = ()


CHECKING = (
    Difference(
        "Mistakes that only a run would meet",
        "A condition, template or expression that asks for a value nobody gives, an empty group of statements, and numbers out "
        "of bounds (a thickness of 0, a share of 2.5) are told when the definition is checked.",
        "The definition compiles, and every run of it fails, or draws nonsense.",
        "Here: a definition that cannot run is not right.",
    ),
    Difference(
        "Huge numbers",
        "Every number of a step has bounds, such as 16,384 pixels for the side of a picture that is made, and the message says "
        "why.",
        "Most have none: such a step takes all memory, or minutes.",
        "Here: definitions come from strangers, and a zero too many from anybody.",
    ),
    Difference(
        "A plugin that is broken",
        "It is told once and left out, down to one block; a block name that two plugins bring is used by neither.",
        "Every definition fails, whether it uses the plugin or not.",
        "Here.",
    ),
    Difference(
        "Fields that nobody knows",
        "In steps with the other runtime's names and at the top level they are warnings; in steps with this runtime's own "
        "names, and where a field of the top level is misspelt and missing, they are errors.",
        "They are dropped without a word, so that a misspelt option is lost.",
        "Here.",
    ),
    Difference(
        "Where references may stand",
        "A text in a list that has the form of a reference is one, and the classifications that replace classes come from a "
        "step or a batch of inputs.",
        "In some lists such a text is taken as it stands, and a parameter may be given for the classifications.",
        "Either; this way a misspelt reference is told when the definition is checked.",
    ),
    Difference(
        "Code in a definition",
        "`dynamic_blocks_definitions` is refused: code belongs into a plugin that somebody installed.",
        "The code is run.",
        "A matter of trust; this runtime takes definitions from strangers.",
    ),
    Difference(
        "Inputs of different depth",
        "An outer value joins every inner element under it, in every block: a step may take an image and its crops.",
        "Most blocks refuse inputs of different depth.",
        "Here: it is what the definition says.",
    ),
)

RUNNING = (
    Difference(
        "Pictures as pixels",
        "Pillow decodes them. What is transparent lies on white, a file that ends too early is no image, and a PIL image or a "
        "file object gives the same pixels as its file.",
        "OpenCV decodes them. What is transparent gets the colour that its file hides beneath, and the end of a torn file is "
        "grey.",
        "Here: black text on nothing is black on white, as it is for Florence-2's own processor.",
    ),
    Difference(
        "Two gates in front of a step",
        "Both must let an element pass.",
        "If one of them rejects the whole batch, it is forgotten, and the other decides alone.",
        "Here.",
    ),
    Difference(
        "A gate on an image before a step on its crops",
        "It governs all crops of the image.",
        "The step compiles and never runs.",
        "Here.",
    ),
    Difference(
        "An element that fails",
        "It fails alone; its outputs are null, the others go on, and the report says why.",
        "The run ends at the first exception.",
        "Here.",
    ),
    Difference(
        "Collapsing an image without crops",
        "It gives `[]`.",
        "It gives `null`.",
        "Here: there are none, and that is known.",
        ("rollup of nothing",),
    ),
    Difference(
        "Inputs that are not given",
        "A parameter without a default must be given.",
        "It becomes null without a word.",
        "Here.",
    ),
    Difference(
        "Rows",
        "There is a row per image of the run wherever an output is one per image; a stream, or a folder on the command line, "
        "gives every image a row, and is a single run where a step collapses what is one per image.",
        "The same for a run; there are no streams.",
        "Both.",
    ),
    Difference(
        "Streams",
        "All images of a run are one stream.",
        "Images without a video are each a stream of their own, so that trackers and filters of changes remember nothing.",
        "Here: somebody who gives several images to a tracker means them to follow each other.",
        ("delta filter",),
    ),
)

COORDINATES = (
    Difference(
        "A crop's own detections",
        'They are moved to the root image on the way out, as all detections are; `"coordinates_system": "own"` leaves them '
        "on the crop.",
        "They leave in coordinates of the crop, and the other runtime's own tests assert it.",
        'Here, by the language: "parent" is the default of every output. There, a detection on a crop that went through any '
        "other step is moved as well.",
    ),
    Difference(
        "Rolled-up detections",
        "Their coordinates lead back to the image once.",
        "The place of the crop is added a second time on the way out.",
        "Here.",
        ("rollup of matches, to the root",),
    ),
    Difference(
        "Views",
        "Detections found on a resized, cropped, sliced or rectified view are brought to the view they meet, wherever a block "
        "takes both; where no way leads there, an error says so.",
        "They are used as they are, in whatever place their numbers name there.",
        "Here.",
        ("dynamic_crop of a resized copy",),
    ),
    Difference(
        "Detections that say they lie on an image of another size",
        "An error says that no way leads from one to the other.",
        "They are cut at the same numbers.",
        "Here.",
        ("dynamic_crop of another picture",),
    ),
    Difference(
        "Zones and lines",
        "They are in the pixels of the image that their step takes, and in steps without one (filters, counts, the query "
        "language) in those of the image that went in; zones that a step made move with their view.",
        "They are compared with the numbers of the detections, whatever those were found on.",
        "Here, for resized copies, slices and crops that differ from image to image; for a part that is always the same, "
        "coordinates of the part are as good, and a filter that has them has to be given those of the image instead.",
    ),
    Difference(
        "Crops at the edge",
        "A box that leaves its image is cut to it.",
        "A negative edge counts from the other side of the image and gives no crop.",
        "Here.",
        ("dynamic_crop at the edge", "relative_static_crop at the edge"),
    ),
    Difference(
        "Corners of minimal rectangles",
        "Corners are rounded to the nearest pixel.",
        "Their fractions are cut off.",
        "Here.",
        ("bounding_rect", "bounding_rect of batches"),
    ),
    Difference(
        "Rectified detections",
        "They keep their fractions, and the far edge of the rectangle is its width.",
        "They are rounded to whole pixels, and the far edge is one pixel before the width.",
        "Either; this way nothing is lost, and the way back leads to the same place.",
    ),
    Difference(
        "Overlap of masks",
        "Areas are those of all pixels of the masks.",
        "They are those of the largest contour's polygon, half a pixel smaller around.",
        "Here.",
        ("overlap of masks",),
    ),
)

TRACKS_AND_DRAWINGS = (
    Difference(
        "Tracks at a counting line",
        "A track counts however long nobody saw it at the line, as long as its id goes on.",
        "One that was out of sight for two frames is forgotten there, and its crossing is lost.",
        "Here.",
    ),
    Difference(
        "The text of a counting line",
        "It stands beside the line, on a ground of its own, within the picture.",
        "It is written upon the line's end, and beyond the edge of the picture where that is near.",
        "Here.",
    ),
    Difference(
        "Labels",
        "Labels that overlap move apart. A label without a letter is not drawn. Letters are those of OpenCV 4.",
        "They lie upon each other, an empty label is an empty box, and a label of a confidence that is not there ends the run.",
        "Here.",
    ),
    Difference(
        "Fonts",
        "Fonts that the other runtime brings, and that are not installed, are replaced by DejaVu Sans, or its letters of one "
        "width.",
        "It brings twenty fonts.",
        "Either.",
    ),
    Difference(
        "Heatmaps",
        "A heatmap is that of its image; `ignore_stationary`, `motion_threshold` and `metadata` are ignored, with a warning.",
        "It adds up over the frames of a video.",
        "There, for videos.",
    ),
    Difference(
        "Things that slices cut",
        "`vision/detections_stitch@v1` compares an overlap with the smaller of two boxes and joins them (`ios`, `nmm`): the "
        "parts of a thing become the thing. Under the other runtime's name it does what it does there, unless "
        "`overlap_metric` says otherwise.",
        "An overlap is compared with the union, so that parts stay within the whole.",
        "Here, for slices.",
    ),
)

ANSWERS = (
    Difference(
        "Confidences of answers that give none",
        "Boxes of an answer of Florence-2 without confidences have none. (Those of the other models have 1.0, as there.)",
        "All are said to be certain, 1.0.",
        "Here: nobody said so.",
        (
            "detector",
            "detector, version 1",
            "detector of phrases",
            "detector of names",
            "detector of captions",
            "detector of proposals",
            "detector of texts",
        ),
    ),
    Difference(
        "A classification that is a bare name",
        "It is that class, without a confidence.",
        "It cannot be read.",
        "Here.",
        ("classifier of a name",),
    ),
    Difference(
        "JSON between sentences",
        "`json_parser` reads JSON wherever it stands in a text, as `vlm_as_classifier` and `vlm_as_detector` do in both.",
        "`json_parser` reads a block that says it is JSON, or the whole text; anything else is an error.",
        "Here: what a language model wrote is the same answer with and without a sentence around it.",
        ("json_parser between sentences",),
    ),
    Difference(
        "Several labels that nobody asked for",
        "`all_classes` and `all_confidences` of a classification of several labels have every class, though all those that are "
        "in no list have the number -1.",
        "Of those that share a number, the last is told.",
        "Here: nothing is lost.",
        ("query all_classes of labels without a number",),
    ),
    Difference(
        "Corners in another order",
        "Boxes go from their upper left corner to their lower right one, however a model or another program wrote them.",
        "They are taken as they are; their areas and overlaps are negative or 0.",
        "Here.",
        ("detector of qwen, corners in another order",),
    ),
    Difference(
        "Boxes of Claude as `box_2d`",
        "They are pixels of the image as Claude sees it, whichever version the step is of.",
        "Version 1 of `vlm_as_detector` reads them as Gemini's, thousandths that begin with y.",
        "Here: Claude never wrote those.",
    ),
)

NAMES_OF_CROPS = (
    Difference(
        "Names that were read, not classified",
        "A detection that gets its name from a text has no confidence; a fallback without an id is numbered with the others.",
        "Its confidence is 1.0, that of a fallback 0.0, and the id of a fallback without one is the largest there is.",
        "Here: nobody said how sure it is.",
        ("names of crops that a gate held back", "names of crops that a gate held back, or else"),
    ),
)

QUERIES = (
    Difference(
        "`ToString` of nothing",
        "What is missing stays missing: null.",
        'It is the text "None".',
        "Here.",
        ("query odd ToString otherwise",),
    ),
    Difference(
        '`ToBoolean` of the text "false"',
        "It is false; every other text that is not empty is true, as there.",
        "It is true, as it is not empty.",
        "Here: it is what the text says.",
        ("query odd ToBoolean otherwise",),
    ),
    Difference(
        "`Multiply` of texts and lists",
        "An error: it multiplies numbers.",
        "They are repeated, as Python does.",
        "Here: repeating could fill the memory.",
        ("query odd Multiply otherwise",),
    ),
    Difference(
        "`SequenceAggregate` of an empty list",
        "It gives null, and what follows is skipped.",
        "It ends the run.",
        "Here: an image without detections is no mistake.",
        (
            "query odd SequenceAggregate first otherwise",
            "query odd SequenceAggregate most_common otherwise",
            "query odd SequenceAggregate least_common otherwise",
        ),
    ),
    Difference(
        "`SortDetections` by a confidence that is not there, `DetectionsPropertyExtract` of class names that are not there",
        "An error says what the detections lack.",
        "They stay as they are; the list is empty.",
        "Here.",
    ),
    Difference(
        "`ExtractFrameMetadata`",
        "A frame of a video has a number and a time in it, and no time of day; a still image is number 0, taken now, and has "
        "no time in a video.",
        "A still image is frame 0 of a video of 30 frames a second, so that it was taken before its video began. The time of "
        "day of a frame is that of its file.",
        "Here for still images; there for files that nobody copied.",
    ),
)

PARTS = {
    "Checking": CHECKING,
    "Running": RUNNING,
    "Places": COORDINATES,
    "Tracks and drawings": TRACKS_AND_DRAWINGS,
    "Answers of models": (*ANSWERS, *NAMES_OF_CROPS),
    "The query language": QUERIES,
}

DIFFERENT: dict[str, Difference] = {case: one for part in PARTS.values() for one in part for case in one.cases}
"""The differences by the names of the cases that show them."""

_HEAD = """# Differences from the Roboflow runtime

Definitions of the Roboflow runtime run here unchanged, as far as their blocks are here. Where one means something else here, it
does so on purpose, and this page says what, and who is right. "There" is `roboflow-workflows` 0.2.13. `make compat` runs the
same definitions in both; the cases named below hold what either gives.
"""


def page() -> str:
    """The page about all differences."""
    parts = [_HEAD]
    for title, differences in PARTS.items():
        parts.append(f"\n## {title}\n")
        parts += [_entry(one) for one in differences]
    return "".join(parts)


def _entry(one: Difference) -> str:
    shown = f" Shown by {', '.join(f'`{name}`' for name in one.cases)}." if one.cases else ""
    return f"\n**{one.about}.** {one.here} There: {_lower(one.there)} *Right:* {_lower(one.right)}{shown}\n"


def _lower(text: str) -> str:
    """A sentence after a colon."""
    return text if text[:1] in '`"' or text.startswith("Python") else text[0].lower() + text[1:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
