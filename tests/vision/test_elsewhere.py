"""Blocks of the other runtime that are not here are told as such, with what comes nearest."""

from __future__ import annotations

import pytest

from florence_blocks.vision.elsewhere import names
from workflow_engine import WorkflowDefinitionError, compile, registry


def told(type_: str) -> str:
    definition = {"version": "1.0", "inputs": [], "steps": [{"type": type_, "name": "s"}], "outputs": []}
    with pytest.raises(WorkflowDefinitionError) as raised:
        compile(definition)
    return next(str(problem) for problem in raised.value.problems if problem.place == "steps[0].type")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("open_ai@v3", "florence/prompt@v1"),
        ("roboflow_object_detection_model@v2", "florence/object_detection@v1"),
        ("yolo_world_model@v1", "florence/open_vocabulary_detection@v1"),
        ("google_vision_ocr@v1", "florence/ocr@v1"),
        ("email_notification@v1", "vision/local_file_sink@v1"),
    ],
)
def test_a_block_that_is_not_here_gets_the_nearest_that_is(name: str, nearest: str) -> None:
    said = f"steps[0].type: `roboflow_core/{name}` is a block of another runtime that is not here (nearest is `{nearest}`)"
    assert told(f"roboflow_core/{name}") == said


def test_every_name_of_the_other_runtime_is_here_or_told_with_a_block_that_is() -> None:
    here = registry().blocks
    assert len(names()) > 240 and len(set(names()) & here.keys()) >= 65
    for name in sorted(set(names()) - here.keys()):
        nearest = registry().nearest(name)
        assert nearest in here and f"nearest is `{nearest}`" in told(name)


def test_names_of_nobody_are_unknown() -> None:
    assert "unknown block type `roboflow_core/caption_it@v1`" in told("roboflow_core/caption_it@v1")
