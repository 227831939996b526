"""Where this runtime differs from the other on purpose: case by case, with the reason."""

from __future__ import annotations

EMPTY_CROP = "a crop that leaves its image is cut to it; there, a negative edge counts from the other side and gives nothing"

STREAM = "all images of a run are one stream; there, images without a video are each a stream of their own"

MASK_AREAS = "areas are those of all pixels of the masks; there, of the largest contour's polygon, half a pixel smaller around"

CORNERS = "corners are rounded to the nearest pixel; there, their fractions are cut off"

TWICE = "coordinates lead back to the image once; there, the place of the crop is added a second time on the way out"

NO_CROP = "nothing on no crop is no detection; there, the step is left out and its outputs are null"

NAMES = "an answer that is the name of a class is that class, without a confidence; there, it cannot be read"

CONFIDENCES = "boxes of an answer that gives no confidences have none; there, all are said to be certain, 1.0"

OTHER_PICTURE = "detections that say they lie on an image of another size fail; there, they are cut at the same numbers"

VIEWS = "detections on a resized copy are cut out of the original where they lie; there, at the numbers of the copy"

DIFFERENT: dict[str, str] = {
    "bounding_rect": CORNERS,
    "bounding_rect of batches": CORNERS,
    "overlap of masks": MASK_AREAS,
    "rollup of matches, to the root": TWICE,
    "rollup of nothing": NO_CROP,
    "classifier of a name": NAMES,
    **dict.fromkeys(
        (
            "detector",
            "detector, version 1",
            "detector of phrases",
            "detector of names",
            "detector of captions",
            "detector of proposals",
            "detector of texts",
        ),
        CONFIDENCES,
    ),
    "delta filter": STREAM,
    "dynamic_crop at the edge": EMPTY_CROP,
    "dynamic_crop of another picture": OTHER_PICTURE,
    "dynamic_crop of a resized copy": VIEWS,
    "relative_static_crop at the edge": EMPTY_CROP,
}
