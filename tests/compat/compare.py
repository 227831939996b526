"""Both runtimes on the same cases.

    python -m tests.compat.compare --python PYTHON [--record]

runs every case in the environment of PYTHON, where the other runtime is installed, and here, and tells what differs, from each
other or from what is recorded. With `--record`, it writes the record anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.compat.cases import CASES
from tests.compat.differences import DIFFERENT
from tests.compat.inputs import read
from tests.compat.outcome import FAILED, plain
from tests.compat.writing import Case
from workflow_engine import compile

RECORD = Path(__file__).with_name("record.json")


def here(case: Case) -> list[Any]:
    """What this runtime gives, run by run; what failed is told in place of the outputs."""
    workflow, outcomes = compile(case.definition), []
    for inputs in case.runs:
        result = workflow.run({name: read(value) for name, value in inputs.items()})
        failed = {FAILED: "; ".join(str(error) for error in result.report.errors)}
        outcomes.append([plain(row) for row in result.outputs] if result.report.ok else failed)
    return outcomes


def there(cases: Sequence[Case], python: str) -> dict[str, Any]:
    """What the other runtime gives, case by case."""
    with tempfile.TemporaryDirectory() as folder:
        given, got = Path(folder) / "cases.json", Path(folder) / "outcomes.json"
        given.write_text(json.dumps([case.to_json() for case in cases]))
        subprocess.run([python, str(Path(__file__).with_name("live.py")), str(given), str(got)], check=True)
        return dict(json.loads(got.read_text()))


def comparable(outcome: Any, *, exact: bool) -> Any:
    """An outcome without the words of its errors, nor the pixels of its images, where these may differ."""
    if isinstance(outcome, list):
        return [comparable(item, exact=exact) for item in outcome]
    if isinstance(outcome, dict) and FAILED in outcome:
        return FAILED
    if isinstance(outcome, dict):
        return {key: comparable(item, exact=exact) for key, item in outcome.items() if exact or key != "digest"}
    return outcome


def written(record: dict[str, dict[str, Any]]) -> str:
    """A record as JSON with a line for every case."""
    parts = []
    for part, cases in record.items():
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(outcome)}" for name, outcome in cases.items())
        parts.append(f" {json.dumps(part)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    """The command line; the exit code says whether all is as recorded."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--python", required=True, help="the interpreter of an environment with the other runtime")
    parser.add_argument("--record", action="store_true", help="write the record anew")
    options = parser.parse_args()
    live = there(CASES, options.python)
    if options.record:
        ours = {case.name: here(case) for case in CASES if case.name in DIFFERENT}
        RECORD.write_text(written({"theirs": live, "ours": ours}))
    recorded = json.loads(RECORD.read_text())["theirs"]
    wrong = 0
    for case in CASES:
        theirs = comparable(live[case.name], exact=case.exact)
        for what, other in (("the record", recorded.get(case.name)), ("here", here(case))):
            if case.name in DIFFERENT and what == "here":
                continue
            if comparable(other, exact=case.exact) != theirs:
                wrong += 1
                sys.stdout.write(f"{case.name}\n  there: {theirs}\n  {what}: {other}\n")
    sys.stdout.write(f"{len(CASES)} cases, {wrong} differ, {len(DIFFERENT)} more on purpose\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
