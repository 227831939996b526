"""Engine overhead beside the best-known executor of the language, in one run.

    python benchmarks/engine.py [--peer-python PYTHON] [--only PART] [--rounds 7] [--json FILE]

`engine_cases` has the definitions. The peer needs an environment of its
own (`python -m venv peer && peer/bin/pip install roboflow-workflows`), whose interpreter is given by `--peer-python`;
without it only ours is measured. Each engine lives in a process of its own; rounds alternate between the two, so that
both see the same state of the machine, and the ratio is taken round by round. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine_cases import cases

WORKER = Path(__file__).with_name("engine_worker.py")


class Engine:
    """A worker process that compiles and runs definitions on request."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen([python, str(WORKER), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True, env=environment)  # fmt: skip
        self.versions = self.ask({"do": "versions"})

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and wait for its answer; an error of the worker comes back as `{"error": ...}`."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.name} ended")
        return json.loads(line)

    def close(self) -> None:
        """End the worker."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def measure(engines: list[Engine], case: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Milliseconds to compile and to run one case on every engine, round by round."""
    times: dict[str, dict[str, list[float]]] = {engine.name: {"compile_ms": [], "run_ms": []} for engine in engines}
    for engine in engines:
        loaded = engine.ask({"do": "load", **case})
        if "error" in loaded:
            return {"error": f"{engine.name}: {loaded['error']}"}
    for _ in range(rounds):
        for engine in engines:
            taken = engine.ask({"do": "round"})
            for key in ("compile_ms", "run_ms"):
                times[engine.name][key].append(taken[key])
    medians = {name: {key: statistics.median(values) for key, values in taken.items()} for name, taken in times.items()}
    result: dict[str, Any] = {"steps": case["meta"]["steps"], "elements": case["meta"]["elements"], "engines": medians}
    if len(engines) == 2:
        ours, peer = (times[engine.name]["run_ms"] for engine in engines)
        result["ratio"] = statistics.median(theirs / own for own, theirs in zip(ours, peer, strict=True))
    return result


def import_seconds(python: str, module: str, rounds: int) -> float:
    """Seconds to import a module in a fresh process, the median."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    taken = [float(subprocess.run([python, "-W", "ignore", "-c", code], capture_output=True, text=True).stdout.split()[-1])
             for _ in range(rounds)]  # fmt: skip
    return statistics.median(taken)


def check_seconds(rounds: int, definition: Path) -> float:
    """Seconds of `workflow check FILE` as a whole process, the median."""
    code = "from workflow_engine.cli import main; main()"
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, "check", str(definition)], capture_output=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measure the cases whose names hold this")
    parser.add_argument("--peer-python", help="interpreter of an environment with roboflow-workflows")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    chosen = [case for case in cases() if options.only in case["meta"]["name"]]
    if not chosen:
        print(f"no case has `{options.only}` in its name", file=sys.stderr)
        return 2
    engines = [Engine("ours", sys.executable)] + ([Engine("peer", options.peer_python)] if options.peer_python else [])
    results: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count(),
                               "python": platform.python_version(), "load": os.getloadavg(),
                               "versions": {engine.name: engine.versions for engine in engines}, "cases": {}}  # fmt: skip
    print(f"{'case':28}{'ours ms':>10}{'us/step':>9}{'peer ms':>10}{'ratio':>8}{'compile ms':>12}{'peer':>8}")
    for case in chosen:
        result = results["cases"][case["meta"]["name"]] = measure(engines, case, options.rounds)
        print(_row(case["meta"]["name"], result), flush=True)
    for engine in engines:
        engine.close()
    results["import_s"] = {"workflow_engine": import_seconds(sys.executable, "workflow_engine", 5)}
    if options.peer_python:
        peer = import_seconds(options.peer_python, "roboflow_workflows.execution_engine.core", 3)
        results["import_s"]["roboflow_workflows.execution_engine.core"] = peer
    example = Path(__file__).parents[1] / "example_workflows" / "detect_filter_crop_read.json"
    results["check_s"] = check_seconds(5, example)
    print("import seconds:", results["import_s"], " check seconds:", round(results["check_s"], 3))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _row(name: str, result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{name:28}{result['error'][:100]}"
    ours, peer = result["engines"]["ours"], result["engines"].get("peer")
    row = f"{name:28}{ours['run_ms']:10.3f}{ours['run_ms'] * 1000 / result['steps']:9.1f}"
    row += f"{peer['run_ms']:10.3f}{result['ratio']:8.2f}" if peer else f"{'-':>10}{'-':>8}"
    return row + f"{ours['compile_ms']:12.2f}" + (f"{peer['compile_ms']:8.2f}" if peer else "")


if __name__ == "__main__":
    raise SystemExit(main())
