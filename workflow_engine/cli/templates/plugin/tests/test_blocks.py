"""The blocks in workflows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workflow_engine import WorkflowDefinitionError, compile

DEFINITION = Path(__file__).parents[1] / "example.json"


def test_bright_and_dark_images() -> None:
    bright, dark = np.full((8, 8, 3), 204, np.uint8), np.zeros((8, 8, 3), np.uint8)
    rows = compile(DEFINITION).run(image=[bright, dark], least=0.5, on_error="raise").outputs
    assert [row["is_bright"] for row in rows] == [True, False]
    assert rows[0]["brightness"] == pytest.approx(0.8)


def test_what_does_not_fit_is_told() -> None:
    text = DEFINITION.read_text().replace('"$inputs.least"', "7")
    with pytest.raises(WorkflowDefinitionError, match="less than or equal to 1"):
        compile(text)
