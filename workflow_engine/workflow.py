"""The Python API: `compile` a definition, then `run` the workflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from workflow_engine import plugins
from workflow_engine.compiler import compile_definition
from workflow_engine.errors import Problem
from workflow_engine.executor import Cancellation, Execution
from workflow_engine.inputs import load_inputs
from workflow_engine.language import read_definition
from workflow_engine.plan import Plan
from workflow_engine.plugins import Registry
from workflow_engine.results import RunResult, collect


class Workflow:
    """A compiled workflow; it may run many times, and from several threads at once.

    Attributes:
        plan: what will be executed.
        warnings: what was ignored in steps that were written for another runtime.
    """

    def __init__(self, plan: Plan, warnings: tuple[Problem, ...], known: Registry) -> None:
        self.plan = plan
        self.warnings = warnings
        self._registry = known

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        on_error: Literal["report", "raise"] = "report",
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
        allow_urls: bool = False,
        **named: Any,
    ) -> RunResult:
        """Run the workflow.

        Args:
            inputs: the inputs by name; they may also be given as keywords. A batched input takes one value or a list with
                one per image; images may be paths, bytes, base64, numpy (BGR), PIL, or URLs where allowed.
            on_error: what happens when an element fails: `report` it and go on, or `raise` at the first.
            timeout: seconds after which the run gives up.
            cancellation: ends the run from another thread.
            allow_urls: whether images may be fetched from http(s) addresses.
            **named: inputs by name.

        Raises:
            WorkflowInputError: an input is missing, unknown or does not fit.
            StepError: an element failed and `on_error` is `raise`.
            RunTimeoutError: the time was over.
            RunCancelledError: the run was cancelled.
        """
        if on_error not in ("report", "raise"):
            raise ValueError(f'on_error={on_error!r}; "report" or "raise" would fit')
        deadline = None if timeout is None else time.monotonic() + timeout
        state = load_inputs(self.plan, {**(inputs or {}), **named}, allow_urls=allow_urls)
        report = Execution(state, on_error == "raise", deadline, cancellation).run()
        return RunResult(collect(state), report, self._registry.kinds)


def compile(definition: Mapping[str, Any] | str | Path, *, registry: Registry | None = None) -> Workflow:
    """Compile a definition to a workflow.

    Args:
        definition: a dict, JSON text, or the path of a JSON file.
        registry: the blocks and kinds to use instead of those of the installed plugins.

    Raises:
        WorkflowDefinitionError: `.problems` lists everything that is wrong.
        PluginError: an installed plugin is broken.
    """
    known = registry if registry is not None else plugins.registry()
    plan, warnings = compile_definition(read_definition(definition), known)
    return Workflow(plan, warnings, known)
