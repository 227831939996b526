"""What happens from frame to frame: tracks, crossings of a line, time within a zone.

These blocks remember: frames come to them in order, and every stream (a video) has blocks of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from florence_blocks.vision.detection import select
from florence_blocks.vision.fields import Length, Positions, Positive, Share
from florence_blocks.vision.lines import CountingLine
from florence_blocks.vision.zones import Area, Line, met, within
from workflow_engine.block import AnyReference, Block, BlockManifest, DetectionsReference, ImageReference, Output, Value
from workflow_engine.data import Image
from workflow_engine.kinds import DETECTIONS, INTEGER
from workflow_engine.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import supervision as sv
    import trackers
else:
    np = LazyModule("numpy")
    sv = LazyModule("supervision")
    trackers = LazyModule("trackers")

_CORNERS = ("TOP_LEFT", "TOP_RIGHT", "BOTTOM_LEFT", "BOTTOM_RIGHT")
TIME_IN_ZONE = "time_in_zone"
"""The key of `Detections.data` that holds the seconds a track has been within its zone."""


class _Tracked(BlockManifest):
    """The fields of steps that look at the detections of one frame after the other."""

    image: ImageReference | None = Field(None, description="the frame")
    metadata: AnyReference | None = Field(None, description="accepted for other runtimes; frames know their time")
    detections: DetectionsReference


class ByteTracker(Block):
    """Follow detections from frame to frame (ByteTrack): every thing keeps its `tracker_id`.

    A track begins when a thing is seen for the second time in a row; what belongs to no track is left out. Frames of a
    video are told apart by their time, others count as thirty a second. Needs `pip install 'trackers>=2.6'`.

    `{"type": "vision/byte_tracker@v1", "name": "track", "image": "$inputs.image", "detections": "$steps.detect.predictions"}`
    """

    class Manifest(_Tracked):
        """The fields of the step."""

        type: Literal["vision/byte_tracker@v1", "roboflow_core/byte_tracker@v3", "roboflow_core/byte_tracker@v2",
                      "roboflow_core/byte_tracker@v1"]  # fmt: skip
        track_activation_threshold: Value[Share] = Field(0.25, description="the least confidence that begins a track")
        lost_track_buffer: Value[Length] = Field(
            30, description="for how many thirtieths of a second a thing may be out of sight"
        )
        minimum_matching_threshold: Value[Share] = Field(
            0.8, description="how much a box may differ from where it was expected: 1 - IoU"
        )
        minimum_consecutive_frames: Value[Positive] = Field(1, description="frames in a row that make a track, two at least")
        instances_cache_size: Positive = Field(16384, description="how many tracks are remembered as seen before")

    outputs = {
        "tracked_detections": Output(*DETECTIONS),
        "new_instances": Output(*DETECTIONS),
        "already_seen_instances": Output(*DETECTIONS),
    }
    stateful = True
    view = None
    requires = {"trackers": "trackers>=2.6"}

    def __init__(self) -> None:
        self._tracker: Any = None
        self._seen: dict[int, None] = {}

    def run(self, image: Image | None, metadata: Any, detections: sv.Detections, **fields: Any) -> dict[str, sv.Detections]:
        """The tracks of one frame: all, those seen for the first time, and the others."""
        if self._tracker is None:
            self._tracker = _tracker(fields)
        placed = select(detections, list(range(len(detections))))
        placed.data["_place"] = np.arange(len(detections))
        followed = self._tracker.update(placed, timestamp=None if image is None else image.seconds)
        ids = followed.tracker_id if len(followed) else np.zeros(0, int)
        pairs = sorted((int(place), int(track)) for place, track in zip(followed.data.get("_place", ()), ids, strict=True)
                       if track >= 0)  # fmt: skip
        tracked = select(detections, [place for place, _ in pairs])
        tracked.tracker_id = np.array([track for _, track in pairs], dtype=int)
        fresh = [track not in self._seen for _, track in pairs]
        for _, track in pairs:
            self._seen[track] = None
        while len(self._seen) > fields["instances_cache_size"]:
            del self._seen[next(iter(self._seen))]
        return {
            "tracked_detections": tracked,
            "new_instances": select(tracked, [place for place, new in enumerate(fresh) if new]),
            "already_seen_instances": select(tracked, [place for place, new in enumerate(fresh) if not new]),
        }


def _tracker(fields: dict[str, Any]) -> Any:
    return trackers.ByteTrackTracker(
        lost_track_buffer=fields["lost_track_buffer"],
        track_activation_threshold=fields["track_activation_threshold"],
        high_conf_det_threshold=fields["track_activation_threshold"],
        minimum_consecutive_frames=fields["minimum_consecutive_frames"],
        minimum_iou_threshold=1 - fields["minimum_matching_threshold"],
    )


def _tracks(detections: sv.Detections) -> list[int]:
    """The track of every detection."""
    if detections.tracker_id is None and len(detections):
        raise ValueError("these detections are not tracked; `tracked_detections` of vision/byte_tracker@v1 would fit")
    return [] if detections.tracker_id is None else [int(track) for track in detections.tracker_id]


class LineCounter(Block):
    """Count the tracks that cross a line, in each direction; `in` is from the right to the left of who looks along it.

    A track counts however long nobody saw it at the line, as long as its id goes on.

    `{"type": "vision/line_counter@v1", "name": "line", "detections": "$steps.track.tracked_detections",
    "line_segment": [[0, 80], [160, 80]]}`
    """

    class Manifest(_Tracked):
        """The fields of the step."""

        type: Literal["vision/line_counter@v1", "roboflow_core/line_counter@v2", "roboflow_core/line_counter@v1"]
        line_segment: Value[Line] = Field(description="the two ends (x, y) of the line")
        triggering_anchor: Value[Positions | None] = Field(
            None, description="the point of a detection that crosses; without it, all four corners do"
        )

    outputs = {
        "count_in": Output(INTEGER),
        "count_out": Output(INTEGER),
        "detections_in": Output(*DETECTIONS),
        "detections_out": Output(*DETECTIONS),
    }
    stateful = True
    view = None

    def __init__(self) -> None:
        self._line: CountingLine | None = None

    def run(
        self,
        image: Image | None,
        metadata: Any,
        detections: sv.Detections,
        line_segment: Line,
        triggering_anchor: Positions | None,
    ) -> dict[str, Any]:
        """The counts up to this frame, and what crosses in it."""
        if self._line is None:
            self._line = CountingLine(*line_segment)
        near, _ = met(detections, line_segment, image)
        names = [triggering_anchor] if triggering_anchor else _CORNERS
        anchors = np.array([near.get_anchors_coordinates(getattr(sv.Position, name)) for name in names])
        inwards, outwards = self._line.cross(_tracks(detections), anchors)
        return {
            "count_in": self._line.count_in,
            "count_out": self._line.count_out,
            "detections_in": select(detections, inwards),
            "detections_out": select(detections, outwards),
        }


class TimeInZone(Block):
    """For how many seconds every track has been within a zone: `time_in_zone` of the detections.

    `{"type": "vision/time_in_zone@v1", "name": "waiting", "image": "$inputs.image",
    "detections": "$steps.track.tracked_detections", "zone": [[0, 0], [80, 0], [80, 160], [0, 160]]}`
    """

    class Manifest(_Tracked):
        """The fields of the step."""

        type: Literal["vision/time_in_zone@v1", "roboflow_core/time_in_zone@v3", "roboflow_core/time_in_zone@v2",
                      "roboflow_core/time_in_zone@v1"]  # fmt: skip
        image: ImageReference = Field(description="the frame")
        zone: Value[Area] = Field(description="corners (x, y) of the polygon, or of each of several")
        triggering_anchor: Value[Positions] = Field("CENTER", description="the point of a detection that lies within the zone")
        remove_out_of_zone_detections: Value[bool] = Field(True, description="whether what is outside is left out")
        reset_out_of_zone_detections: Value[bool] = Field(True, description="whether who comes back starts from zero")

    outputs = {"timed_detections": Output(*DETECTIONS)}
    stateful = True
    view = None

    def __init__(self) -> None:
        self._entered: dict[int, float] = {}

    def run(
        self,
        image: Image,
        metadata: Any,
        detections: sv.Detections,
        zone: Any,
        triggering_anchor: Positions,
        remove_out_of_zone_detections: bool,
        reset_out_of_zone_detections: bool,
    ) -> sv.Detections:
        """The detections of one frame with their times."""
        now = image.seconds
        if now is None:
            raise ValueError(
                "this image carries no time; the frames of a video do (`workflow run --video`, `workflow_engine.Video`)"
            )
        inside = within(*met(detections, zone, image), triggering_anchor)
        times = []
        for track, there in zip(_tracks(detections), inside, strict=True):
            if there:
                times.append(now - self._entered.setdefault(track, now))
            else:
                times.append(0.0)
                if reset_out_of_zone_detections:
                    self._entered.pop(track, None)
        kept = [place for place, there in enumerate(inside) if there or not remove_out_of_zone_detections]
        timed = select(detections, kept)
        timed.data[TIME_IN_ZONE] = np.array([times[place] for place in kept], dtype=float)
        return timed
