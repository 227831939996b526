"""Runs cases in the other runtime, with nothing of this project; for its environment.

python live.py cases.json outcomes.json
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)


def detected(name: str, value: Any) -> Any:
    """Detections as the models of that runtime give them: read, and with the image they were found on."""
    import numpy as np
    from roboflow_workflows.core_steps.common.deserializers import (  # type: ignore[import-not-found]
        deserialize_detections_kind,
    )

    if isinstance(value, list):
        return [detected(name, item) for item in value]
    if not (isinstance(value, dict) and "predictions" in value and "image" in value):
        return value
    found = deserialize_detections_kind(name, value)
    size, count = [value["image"]["height"], value["image"]["width"]], len(found)
    if count:
        sort = "object-detection" if found.mask is None else "instance-segmentation"
        for key, row in (
            ("prediction_type", sort), ("parent_id", "image"), ("root_parent_id", "image"), ("parent_coordinates", [0, 0]),
            ("root_parent_coordinates", [0, 0]), ("parent_dimensions", size), ("root_parent_dimensions", size),
        ):  # fmt: skip
            found.data[key] = np.array([row] * count)
    return found


def outcome(engine: Any, given: dict[str, Any]) -> Any:
    """What one run gives."""
    from inputs import read  # type: ignore[import-not-found]
    from outcome import FAILED, plain  # type: ignore[import-not-found]

    try:
        return plain(engine.run(runtime_parameters={name: detected(name, read(value)) for name, value in given.items()}))
    except Exception as error:
        return {FAILED: f"{type(error).__name__}: {str(error)[:300]}"}


def main() -> None:
    """Run every case of the first file, write what came out into the second."""
    from outcome import FAILED  # type: ignore[import-not-found]
    from roboflow_workflows.execution_engine.core import ExecutionEngine  # type: ignore[import-not-found]

    outcomes: dict[str, Any] = {}
    for case in json.loads(Path(sys.argv[1]).read_text()):
        try:
            engine = ExecutionEngine.init(
                workflow_definition=case["definition"],
                init_parameters={"workflows_core.model_manager": None, "workflows_core.api_key": None,
                                 "workflows_core.allow_access_to_file_system": False,
                                 "workflows_core.allowed_write_directory": None},
            )  # fmt: skip
        except Exception as error:
            outcomes[case["name"]] = {FAILED: f"{type(error).__name__}: {str(error)[:300]}"}
            continue
        outcomes[case["name"]] = [outcome(engine, given) for given in case["runs"]]
    Path(sys.argv[2]).write_text(json.dumps(outcomes, indent=1))


main()
