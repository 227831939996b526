"""Profiles: spans, their totals, and the trace."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from workflow_engine import compile, profiled, record


def test_spans_are_kept_only_while_a_profile_is_on(tmp_path: Path) -> None:
    record("model", "before", 0.0, 1.0)
    with profiled() as profile:
        record("model", "encode", 2.0, 2.5, requests=3)
        record("model", "encode", 3.0, 4.0, requests=1)
        record("steps", "caption", 1.0, 4.0, elements=2)
    record("model", "after", 5.0, 6.0)
    totals = [(total.track, total.name, total.calls, total.seconds, total.counts) for total in profile.totals()]
    assert totals == [("steps", "caption", 1, 3.0, {"elements": 2}), ("model", "encode", 2, 1.5, {"requests": 4})]
    profile.write(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [(e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"] == [
        ("encode", 1e6, 5e5), ("encode", 2e6, 1e6), ("caption", 0.0, 3e6)]  # fmt: skip
    assert {e["args"]["name"] for e in events if e["ph"] == "M"} == {"model", "steps"}


def test_every_step_of_a_run_has_its_span() -> None:
    flow = compile({
        "version": "1.0", "inputs": [{"type": "WorkflowImage", "name": "image"}],
        "steps": [{"type": "vision/convert_grayscale@v1", "name": "grey", "image": "$inputs.image"}],
        "outputs": [{"type": "JsonField", "name": "grey", "selector": "$steps.grey.image"}],
    })  # fmt: skip
    with profiled() as profile:
        flow.run(image=[np.zeros((4, 4, 3), np.uint8)] * 3)
    (total,) = profile.totals()
    assert (total.track, total.name, total.counts) == ("steps", "grey", {"elements": 3})
