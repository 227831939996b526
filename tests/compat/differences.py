"""Where this runtime differs from the other on purpose: case by case, with the reason."""

from __future__ import annotations

EMPTY_CROP = "a crop that leaves its image is cut to it; there, a negative edge counts from the other side and gives nothing"

STREAM = "all images of a run are one stream; there, images without a video are each a stream of their own"

DIFFERENT: dict[str, str] = {
    "delta filter": STREAM,
    "dynamic_crop at the edge": EMPTY_CROP,
    "relative_static_crop at the edge": EMPTY_CROP,
}
