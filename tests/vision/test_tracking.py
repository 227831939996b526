"""What happens from frame to frame, and what is counted in one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import supervision as sv

from florence_blocks.vision import plugin
from florence_blocks.vision.tracking import ByteTracker
from tests.engine.toys import toy_registry
from tests.vision.test_blocks import PIXELS, found, run, step
from workflow_engine import Block, BlockManifest, Image, ImageReference, Output, Plugin, compile, hookimpl
from workflow_engine.errors import StepError, WorkflowDefinitionError
from workflow_engine.kinds import OBJECT_DETECTION

FRAMES = 12


class Moving(Block):
    """Two things of 16x16 pixels, one goes right and one left, six pixels a frame; the first pixel numbers the frame."""

    class Manifest(BlockManifest):
        type: Literal["toy/moving@v1"]
        image: ImageReference

    outputs = {"predictions": Output(OBJECT_DETECTION)}

    def run(self, image: Image) -> sv.Detections:
        number = int(image.array[0, 0, 0])
        corners = np.array([[4 + 6 * number, 20], [80 - 6 * number, 60]], float)
        order = [1, 0] if number % 2 else [0, 1]  # a detector gives them in any order
        return sv.Detections(
            xyxy=np.hstack([corners, corners + 16])[order], confidence=np.array([0.9, 0.8])[order],
            data={"class_name": np.array(["goer", "comer"], object)[order]},
        )  # fmt: skip


class Toys:
    @hookimpl
    def workflow_engine_blocks(self) -> list[type[Block]]:
        return [Moving]


REGISTRY = toy_registry(Plugin("moving", "toys 3", Toys()), Plugin("vision", "florence-blocks", plugin))


def frames(*, timed: bool = True) -> Iterator[Image]:
    for number in range(FRAMES):
        yield Image(np.full((100, 100, 3), number, np.uint8), seconds=number / 10 if timed else None)


def stream(steps: list[dict[str, Any]], output: str, *, batch: int = 5, timed: bool = True, **options: Any) -> list[Any]:
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [
            {"type": "toy/moving@v1", "name": "find", "image": "$inputs.image"},
            {
                "type": "vision/byte_tracker@v1",
                "name": "track",
                "image": "$inputs.image",
                "detections": "$steps.find.predictions",
            },
            *steps,
        ],
        "outputs": [{"type": "JsonField", "name": "o", "selector": output, "coordinates_system": "own"}],
    }
    workflow = compile(definition, registry=REGISTRY)
    return [item.outputs["o"] for item in workflow.stream(frames(timed=timed), batch=batch, on_error="raise", **options)]


def tracks(found: sv.Detections) -> dict[str, int]:
    return dict(zip(found.data["class_name"].tolist(), found.tracker_id.tolist(), strict=True))


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("batch", [1, 5])
def test_things_keep_their_tracks_whatever_the_order_and_the_batch(batch: int, timed: bool) -> None:
    seen = [tracks(found) for found in stream([], "$steps.track.tracked_detections", batch=batch, timed=timed)]
    assert len(seen) == FRAMES and seen[0] == {} and all(frame == seen[1] for frame in seen[1:])
    assert set(seen[1]) == {"goer", "comer"} and len(set(seen[1].values())) == 2


def test_a_track_is_new_once() -> None:
    new = [len(found) for found in stream([], "$steps.track.new_instances")]
    old = [len(found) for found in stream([], "$steps.track.already_seen_instances")]
    assert new == [0, 2] + [0] * (FRAMES - 2) and old == [0, 0] + [2] * (FRAMES - 2)


def test_who_crosses_a_line_is_counted_in_its_direction() -> None:
    line = step("line_counter", detections="$steps.track.tracked_detections", line_segment=[[50, 0], [50, 100]])
    ways = [stream([line], f"$steps.s.count_{way}") for way in ("in", "out")]
    assert [counts[-1] for counts in ways] == [1, 1] and ways[0][0] == ways[1][0] == 0
    crossed = [name for found in stream([line], "$steps.s.detections_in") for name in found.data["class_name"]]
    also = [name for found in stream([line], "$steps.s.detections_out") for name in found.data["class_name"]]
    assert {*crossed, *also} == {"goer", "comer"} and len(crossed) == len(also) == 1


def test_traces_are_drawn_where_tracks_came_from() -> None:
    trace = step(
        "trace_visualization",
        image="$inputs.image",
        predictions="$steps.track.tracked_detections",
        thickness=4,
        color_axis="TRACK",
    )
    drawn = [(image.bgr != number).any(axis=2) for number, image in enumerate(stream([trace], "$steps.s.image"))]
    assert not drawn[1].any()  # nobody has moved yet
    assert drawn[-1][26:31, 22:70].any(axis=0).all() and drawn[-1][66:71, 40:80].any(axis=0).all()
    assert not drawn[-1][40:55].any()


def test_what_is_not_tracked_has_no_traces_and_crosses_nothing() -> None:
    for block, fields in {
        "trace_visualization": {"image": "$inputs.image", "predictions": "$steps.find.predictions"},
        "line_counter": {"detections": "$steps.find.predictions", "line_segment": [[50, 0], [50, 100]]},
    }.items():
        with pytest.raises(StepError, match="these detections are not tracked; `tracked_detections` of vision/byte_tracker"):
            stream([step(block, **fields)], "$steps.s.*")


def test_time_in_a_zone_is_that_of_the_video() -> None:
    zone = step("time_in_zone", image="$inputs.image", detections="$steps.track.tracked_detections",
                zone=[[0, 0], [50, 0], [50, 50], [0, 50]])  # fmt: skip
    times = [found.data["time_in_zone"].tolist() for found in stream([zone], "$steps.s.timed_detections")]
    inside = [number for number in range(1, FRAMES) if 4 + 6 * number + 8 <= 50]
    assert [round(seconds, 6) for frame in times for seconds in frame] == [(number - 1) / 10 for number in inside]


def test_in_several_zones_a_track_stays_while_it_is_in_any() -> None:
    west, east = [[0, 0], [50, 0], [50, 50], [0, 50]], [[40, 0], [100, 0], [100, 50], [40, 50]]
    times = [
        [round(seconds, 6) for found in stream([zone], "$steps.s.timed_detections") for seconds in found.data["time_in_zone"]]
        for zone in (step("time_in_zone", image="$inputs.image", detections="$steps.track.tracked_detections", zone=zone)
                     for zone in (west, [west, east], [[[0, 0], [100, 0], [100, 50], [0, 50]]]))
    ]  # fmt: skip
    assert times[1] == times[2] and max(times[1]) > max(times[0])


def test_images_without_a_time_and_detections_without_tracks_are_refused() -> None:
    zone = step("time_in_zone", image="$inputs.image", detections="$inputs.d", zone=[[0, 0], [50, 0], [50, 50]])
    with pytest.raises(StepError, match="carries no time"):
        run([zone], "$steps.s.timed_detections")
    line = step("line_counter", detections="$inputs.d", line_segment=[[0, 0], [9, 9]])
    with pytest.raises(StepError, match=r"not tracked.*byte_tracker"):
        run([line], "$steps.s.count_in")


def test_every_stream_has_tracks_of_its_own() -> None:
    assert [tracks(one) for one in stream([], "$steps.track.tracked_detections")] == [
        tracks(one) for one in stream([], "$steps.track.tracked_detections")
    ]


# ------------------------------------------------------------------ counts, zones, lines


def count(output: str, **fields: Any) -> Any:
    return run([step("detections_count", predictions="$inputs.d", **fields)], f"$steps.s.{output}")


def test_counts_are_per_class_and_within_a_zone() -> None:
    assert count("count") == 2 and count("per_class") == {"star": 1, "circle": 1}
    left = [[0, 0], [40, 0], [40, 60], [0, 60]]
    assert count("count", zone=left) == 1 and count("per_class", zone=left) == {"star": 1}
    assert count("per_class", classes=["circle", "moon"]) == {"circle": 1, "moon": 0}
    assert count("predictions", zone=left).data["class_name"].tolist() == ["star"]


def test_zones_that_a_step_made_are_counted_in_kept_asked_about_and_drawn() -> None:
    asked = {"type": "DetectionsFilter", "filter_operation": {"type": "StatementGroup", "statements": [{
        "type": "BinaryStatement", "comparator": {"type": "(Detection) in zone"},
        "left_operand": {"type": "DynamicOperand",
                         "operations": [{"type": "ExtractDetectionProperty", "property_name": "center"}]},
        "right_operand": {"type": "DynamicOperand", "operand_name": "zones"}}]}}  # fmt: skip
    made = {"type": "vision/dynamic_zone@v1", "name": "made", "predictions": "$inputs.d", "required_number_of_vertices": 4}
    before, zones = [made], "$steps.made.zones"
    every = len(run(before, zones))
    assert every > 1
    assert run([*before, step("detections_count", predictions="$inputs.d", zone=zones)], "$steps.s.count") == every
    assert len(run([*before, step("detections_filter", predictions="$inputs.d", zone=zones)], "$steps.s.predictions")) == every
    query = step("detections_filter", predictions="$inputs.d", operations=[asked], operations_parameters={"zones": zones})
    assert len(run([*before, query], "$steps.s.predictions")) == every
    drawn = run([*before, step("polygon_zone_visualization", image="$inputs.image", zone=zones)], "$steps.s.image").array
    changed = (drawn != PIXELS).any(axis=2)
    for x, y in found().get_anchors_coordinates(sv.Position.CENTER).astype(int):
        assert changed[y, x]


def test_a_zone_of_two_corners_is_told_when_the_workflow_is_compiled() -> None:
    with pytest.raises(WorkflowDefinitionError, match=r"zone.*at least 3 items"):
        count("count", zone=[[0, 0], [1, 1]])


def test_zones_and_lines_are_drawn_where_they_are() -> None:
    zone = [[10, 10], [30, 10], [30, 30], [10, 30]]
    drawn = run([step("polygon_zone_visualization", image="$inputs.image", zone=zone)], "$steps.s.image").array
    rows, columns = np.nonzero((drawn != PIXELS).any(axis=2))
    edges = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
    assert (abs(edges - [10, 10, 30, 30]) <= 1).all()
    line = step("line_counter_visualization", image="$inputs.image", zone=[[50, 5], [50, 55]], text_scale=0.3, opacity=1.0)
    drawn = run([line], "$steps.s.image").array
    assert (drawn[5:55, 50] == (115, 181, 91)).all() and np.array_equal(drawn[:, 60:], PIXELS[:, 60:])


# ------------------------------------------------------------------ perspective


def flat(output: str, corners: Any, **fields: Any) -> Any:
    step_ = step(
        "perspective_correction", images="$inputs.image", predictions="$inputs.d", perspective_polygons=corners, **fields
    )
    return run([step_], f"$steps.s.{output}", coordinates="own", d=found(mask=True))


@pytest.mark.parametrize("turn", range(4))
def test_a_rectangle_becomes_itself_whatever_corner_comes_first(turn: int) -> None:
    corners = [[0, 0], [100, 0], [100, 60], [0, 60]]
    corners = corners[turn:] + corners[:turn]
    size = {"transformed_rect_width": 100, "transformed_rect_height": 60}
    assert np.array_equal(flat("warped_image", corners, warp_image=True, **size).array, PIXELS)
    seen = flat("corrected_coordinates", [corners, [[0, 0], [5, 0], [5, 5], [0, 5]]], **size)
    assert np.allclose(seen.xyxy, found().xyxy) and np.array_equal(seen.mask, found(mask=True).mask)


def test_corners_may_come_in_any_order() -> None:
    size = {"transformed_rect_width": 100, "transformed_rect_height": 60}
    crossed = [[[100, 60], [0, 0], [100, 0], [0, 60]], [[0, 0], [50, 0], [50, 50], [0, 50]]]
    assert np.array_equal(flat("warped_image", crossed, warp_image=True, **size).array, PIXELS)


def test_detections_go_through_the_perspective_with_their_image() -> None:
    size = {"transformed_rect_width": 200, "transformed_rect_height": 60}
    seen = flat("corrected_coordinates", [[50, 0], [100, 0], [100, 60], [50, 60]], **size)
    assert np.allclose(seen.xyxy, [[-160, 10, -80, 40], [0, 20, 160, 55]]) and seen.mask.shape == (2, 60, 200)


@pytest.mark.parametrize(
    ("anchor", "size"), [("", (100, 80)), ("ALL", (145, 125)), ("CENTER", (105, 86)), ("BOTTOM_CENTER", (102, 101))]
)
def test_a_quadrilateral_is_widened_until_it_holds_the_anchors_of_detections(anchor: str, size: tuple[int, int]) -> None:
    given = sv.Detections(np.array([[5, 30, 40, 60], [110, 60, 150, 110], [60, 2, 80, 30]], float))
    corners = [[30, 20], [120, 25], [130, 90], [20, 95]]
    made = step("perspective_correction", images="$inputs.image", predictions="$inputs.d", perspective_polygons=corners,
                transformed_rect_width=100, transformed_rect_height=80,
                extend_perspective_polygon_by_detections_anchor=anchor)  # fmt: skip
    outputs = run([made], "$steps.s.*", coordinates="own", d=given, image=np.zeros((120, 160, 3), np.uint8))
    assert (outputs["extended_transformed_rect_width"], outputs["extended_transformed_rect_height"]) == size
    seen = outputs["corrected_coordinates"].xyxy
    if anchor == "ALL":
        assert seen.min() >= -1 and (seen[:, 2] <= size[0] + 1).all() and (seen[:, 3] <= size[1] + 1).all()


def test_corners_that_enclose_nothing_are_refused() -> None:
    with pytest.raises(StepError, match="enclose nothing"):
        flat("warped_image", [[0, 0], [1, 0], [2, 0], [3, 0]])
    with pytest.raises(StepError, match="enclose nothing"):
        flat("warped_image", [[float("nan"), 0], [9, 0], [9, 9], [0, 9]])
    with pytest.raises(StepError, match="four corners"):
        flat("warped_image", [[0, 0], [1, 0], [2, 0]])


# ------------------------------------------------------------------ JSON and files


def test_detections_and_numbers_become_json_and_come_back() -> None:
    data = {"found": "$inputs.d", "n": 3, "names": "$inputs.d"}
    operations = {"names": [{"type": "DetectionsPropertyExtract", "property_name": "class_name"}]}
    steps = [step("json_formatter", data=data, data_operations=operations),
             {"type": "vision/json_parser@v1", "name": "p", "raw_json": "$steps.s.json_content",
              "expected_fields": ["n", "names", "found", "lost"]}]  # fmt: skip
    assert run(steps, "$steps.p.n") == 3 and run(steps, "$steps.p.names") == ["star", "circle"]
    assert [row["class"] for row in run(steps, "$steps.p.found")["predictions"]] == ["star", "circle"]
    assert run(steps, "$steps.p.lost") is None and run(steps, "$steps.p.error_status") is True


def test_the_time_of_a_step_becomes_json() -> None:
    steps = [{"type": "vision/current_time@v1", "name": "now", "timezone": "UTC"},
             step("json_formatter", data={"at": "$steps.now.timestamp"})]  # fmt: skip
    assert json.loads(run(steps, "$steps.s.json_content"))["at"].endswith("+00:00")


def sink(folder: Path | None, texts: list[str], **fields: Any) -> list[dict[str, Any]]:
    definition = {
        "version": "1.0",
        "inputs": [{"type": "WorkflowBatchInput", "name": "text", "kind": ["string"]}],
        "steps": [
            step("local_file_sink", content="$inputs.text", **{"output_mode": "append_log", "target_directory": ".", **fields})
        ],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.*"}],
    }
    result = compile(definition).run(text=texts, allow_files=folder, on_error="raise")
    return [row["o"] for row in result.outputs]


def test_files_are_written_where_the_run_allows_it(tmp_path: Path) -> None:
    rows = sink(tmp_path, ["a,b\n1,2\n", "a,b\n3,4\n", "a,b\n5,6\n"], target_directory="t", max_entries_per_file=2)
    assert not any(row["error_status"] for row in rows)
    assert [file.read_text() for file in sorted((tmp_path / "t").iterdir())] == ["a,b\n1,2\n3,4\n", "a,b\n5,6\n"]
    sink(tmp_path / "j", ['{"a":\n 1}', "[2]"], file_type="json")
    (lines,) = (tmp_path / "j").iterdir()
    assert lines.suffix == ".jsonl" and [json.loads(line) for line in lines.read_text().splitlines()] == [{"a": 1}, [2]]
    sink(tmp_path / "s", ["x", "y"], file_type="txt", output_mode="separate_files")
    assert sorted(file.read_text() for file in (tmp_path / "s").iterdir()) == ["x\n", "y\n"]


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="may not write files"):
        sink(None, ["x"])
    for fields in ({"target_directory": "../elsewhere"}, {"target_directory": "/tmp"}, {"file_name_prefix": "../x"}):
        with pytest.raises(StepError, match=r"lies outside of|no beginning of a file name"):
            sink(tmp_path / "in", ["x"], **fields)
    assert not list(tmp_path.rglob("*.csv"))


def test_one_table_of_a_run_hides_no_failure() -> None:
    definition = {
        "version": "1.0", "inputs": [{"type": "WorkflowBatchInput", "name": name} for name in "vw"],
        "steps": [step("csv_formatter", columns_data={"v": "$inputs.v", "w": "$inputs.w"}, table_of="run")],
        "outputs": [{"type": "JsonField", "name": "o", "selector": "$steps.s.csv_content"}],
    }  # fmt: skip
    result = compile(definition).run(v=[1, [5, 6], 2, [1, 2]], w=[7, [8, 9], 4, [1, 2, 3]])
    assert [row["o"] for row in result.outputs] == [None, None, "v,w\n1,7\n5,8\n6,9\n2,4\n", None]
    assert [error.element for error in result.report.errors] == [(3,)]


def test_what_tracking_needs_is_what_the_extra_brings() -> None:
    project = Path(__file__).parents[2].joinpath("pyproject.toml").read_text()
    assert ByteTracker.requires
    assert all(f'video = ["{package}"]' in project for package in ByteTracker.requires.values())
