"""Every mistake of the catalogue gets exactly the message that people read: where, what was found, what would fit.

`catalogue.json` holds the messages. Whoever changes one changes it there, and sees how all the others read.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.engine.catalogue import DEFINITIONS, ELEMENTS, INPUTS, SCENE, Mistake
from workflow_engine import WorkflowDefinitionError, WorkflowInputError, compile

MESSAGES: dict[str, list[str]] = json.loads(Path(__file__).with_suffix(".json").with_stem("catalogue").read_text())


def told(mistake: Mistake) -> list[str]:
    """What somebody who makes the mistake reads; a mistake that is not noticed gives nothing."""
    try:
        workflow = compile(mistake.definition)
        result = workflow.run({"image": SCENE.image} if mistake.inputs is None else mistake.inputs)
    except (WorkflowDefinitionError, WorkflowInputError) as error:
        return [str(problem) for problem in error.problems]
    return [str(error) for error in result.report.errors]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no-image.png").write_text("hello")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    (tmp_path / "torn.png").write_bytes(data[: len(data) // 2])
    return tmp_path


@pytest.mark.parametrize("mistake", (*DEFINITIONS, *INPUTS, *ELEMENTS), ids=lambda mistake: mistake.about)
@pytest.mark.usefixtures("files")
def test_every_mistake_gets_its_message(mistake: Mistake) -> None:
    assert told(mistake) == MESSAGES[mistake.about]


def test_the_catalogue_is_whole() -> None:
    every = [mistake.about for mistake in (*DEFINITIONS, *INPUTS, *ELEMENTS)]
    assert len(every) == len(set(every)) >= 60 and set(every) == MESSAGES.keys()
    assert all(messages and all(messages) for messages in MESSAGES.values())


def test_the_good_definition_is_good() -> None:
    assert told(Mistake("nothing")) == []


def test_several_mistakes_are_told_at_once() -> None:
    definition = Mistake("").definition
    for mistake in DEFINITIONS:
        if mistake.about in ("a misspelt field", "a version that is not known", "an input that is not there"):
            mistake.change(definition)
    with pytest.raises(WorkflowDefinitionError) as raised:
        compile(definition)
    assert sorted(problem.place for problem in raised.value.problems) == ["steps[0].images", "steps[2].paddding", "version"]
