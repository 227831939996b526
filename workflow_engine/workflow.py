"""The Python API: `compile` a definition, then `run` the workflow."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, cast

from workflow_engine import plugins
from workflow_engine.allocator import keep_freed_memory
from workflow_engine.compiler import compile_definition
from workflow_engine.current import Permissions
from workflow_engine.errors import Problem, WorkflowInputError, a, listing
from workflow_engine.executor import Cancellation, Execution
from workflow_engine.inputs import load_inputs
from workflow_engine.language import read_definition
from workflow_engine.plan import Plan, anew, watched
from workflow_engine.plugins import Registry
from workflow_engine.results import RunResult, collect
from workflow_engine.stream import Stream

P = ParamSpec("P")
R = TypeVar("R")

_FOREVER = 1e9
"""Seconds, more than thirty years: threads cannot wait for much longer."""


def _told_apart(method: Callable[P, R]) -> Callable[P, R]:
    """Refuse a keyword that is an option of a method and an input of the workflow: which of them is meant, nobody can tell.

    Where the inputs are given as a dict, the last positional argument, keywords that are options are options.
    """
    parameters = inspect.signature(method).parameters.values()
    options = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    place = sum(parameter.kind is parameter.POSITIONAL_ONLY for parameter in parameters) - 1
    form = f"{method.__name__}({'' if place == 1 else 'images, '}{{...}})"

    @functools.wraps(method)
    def told(*args: P.args, **keywords: P.kwargs) -> R:
        workflow = cast(Workflow, args[0])
        if len(args) <= place or args[place] is None:
            both = [item.name for item in workflow.plan.inputs if item.name in keywords and item.name in options]
            if both:
                message = f"this workflow has an input of that name, and `{method.__name__}` an option"
                raise WorkflowInputError([Problem(name, message, f"inputs in a dict, {form}, are told apart") for name in both])
        return method(*args, **keywords)

    return told


class Workflow:
    """A compiled workflow; it may run many times, and from several threads at once.

    Attributes:
        plan: what will be executed.
        warnings: what was ignored in steps that were written for another runtime.
        registry: the blocks and kinds it is made of.
        definition: what it was compiled of.
        name: what its definition is called; empty where it has no name.
        description: what its definition says about itself.
    """

    def __init__(self, plan: Plan, warnings: tuple[Problem, ...], known: Registry, definition: Mapping[str, Any]) -> None:
        self.plan = plan
        self.warnings = warnings
        self.registry = known
        self.definition = definition
        self.name = str(definition.get("name") or "")
        self.description = str(definition.get("description") or "")

    @property
    def image_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that take images."""
        return tuple(item.name for item in self.plan.inputs if item.is_image)

    @_told_apart
    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        on_error: Literal["report", "raise"] = "report",
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
        allow_urls: bool = False,
        allow_files: str | Path | None = None,
        allow_webhooks: Sequence[str] = (),
        **named: Any,
    ) -> RunResult:
        """Run the workflow.

        Args:
            inputs: the inputs by name; they may also be given as keywords, but for those that have the name of an option. A
                batched input takes one value or a list with one per image; images may be whatever `Image.load` takes,
                and fail alone where they cannot be read.
            on_error: what happens when an element fails: `report` it and go on, or `raise` at the first.
            timeout: seconds after which the run gives up.
            cancellation: ends the run from another thread.
            allow_urls: whether images may be fetched from http(s) addresses.
            allow_files: the folder in which blocks may write files; without it, none may.
            allow_webhooks: addresses to which, and below which, blocks may send requests; without them, none may.
            **named: inputs by name.

        Raises:
            WorkflowInputError: an input is missing, unknown or does not fit.
            StepError: an element failed and `on_error` is `raise`.
            RunTimeoutError: the time was over.
            RunCancelledError: the run was cancelled.
        """
        if on_error not in ("report", "raise"):
            raise ValueError(f'on_error={on_error!r}; "report" or "raise" would fit')
        given = _joined(inputs, named)
        keep_freed_memory()
        deadline = _deadline(timeout)
        state = load_inputs(self.plan, given, allow_urls=allow_urls)
        permissions = Permissions(None if allow_files is None else Path(allow_files), tuple(allow_webhooks))
        report = Execution(state, on_error == "raise", deadline, cancellation, permissions).run()
        return RunResult(collect(state), report, self.registry.kinds)

    @_told_apart
    def stream(
        self,
        images: Iterable[Any],
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        input: str | None = None,
        batch: int = 8,
        ahead: int = 2,
        on_error: Literal["report", "raise"] = "report",
        timeout: float | None = None,
        allow_urls: bool = False,
        allow_files: str | Path | None = None,
        allow_webhooks: Sequence[str] = (),
        **named: Any,
    ) -> Stream:
        """Run the workflow on any number of images, in order, with bounded memory.

        At most `ahead * batch` images are read and not yet consumed. Blocks that keep something from image to image, such as
        trackers, are made anew for every stream and see its images one after the other. Where a step makes one value of all
        images of a run, such as a `dimension_collapse` of what was found on each, all images are read first and are one run.

        Args:
            images: whatever `run` takes as an image, one after the other; read lazily.
            parameters: the other inputs by name, the same for all images; they may also be given as keywords, but for those
                that have the name of an option.
            input: the input they are for, where the workflow has several for images.
            batch: images per run; all, where a step joins them.
            ahead: runs at a time.
            on_error: `report` failed elements and go on, or `raise` at the first.
            timeout: seconds after which a run of one batch gives up.
            allow_urls: whether images may be fetched from http(s) addresses.
            allow_files: the folder in which blocks may write files; without it, none may.
            allow_webhooks: addresses to which, and below which, blocks may send requests; without them, none may.
            **named: the other inputs by name.

        Raises:
            WorkflowInputError: the workflow has no such image input, or several and none is named, or a parameter is given for
                it.
        """
        names = self.image_inputs
        if (input is None and len(names) != 1) or (input is not None and input not in names):
            wanted = "no image input" if input is None else f"no image input `{input}`"
            raise WorkflowInputError([Problem("$inputs", f"{wanted}; the workflow has {listing(names)}", "`input` names one")])
        chosen = input or names[0]
        given = _joined(parameters, named)
        if chosen in given:
            raise WorkflowInputError([Problem(chosen, "given twice: the images of the stream are for this input")])
        if batch < 1 or ahead < 1:
            raise ValueError(f"batch={batch}, ahead={ahead}; numbers of at least 1 would fit")
        stateful = any(step.stateful for step in self.plan.steps)
        workflow = self._with(anew(self.plan)) if stateful else self
        size = None if self.plan.joining() else min(batch, sys.maxsize)
        return Stream(workflow, images, chosen, given, batch=size, ahead=1 if stateful else ahead,
                      on_error=on_error, timeout=timeout, allow_urls=allow_urls, allow_files=allow_files,
                      allow_webhooks=allow_webhooks)  # fmt: skip

    def watched(self) -> Workflow:
        """The same workflow, which also gives its images, as outputs `$inputs.name`, and what each of its steps gave.

        The outputs `$steps.name` are dicts of the step's outputs.
        """
        return self._with(watched(self.plan))

    def _with(self, plan: Plan) -> Workflow:
        return Workflow(plan, self.warnings, self.registry, self.definition)


def _deadline(timeout: float | None) -> float | None:
    """When a run gives up, on the monotonic clock."""
    if timeout is None:
        return None
    if math.isnan(timeout):
        raise ValueError("timeout=nan; a number of seconds would fit")
    return time.monotonic() + min(timeout, _FOREVER)


def _joined(inputs: Mapping[str, Any] | None, named: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a dict and of keywords together."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise WorkflowInputError([Problem("", f"inputs are a dict by name, not {a(inputs)}")])
    given = dict(inputs or {})
    twice = [name for name in named if name in given]
    if twice:
        raise WorkflowInputError([Problem(name, "given twice: in the dict, and as a keyword") for name in twice])
    return {**given, **named}


def compile(definition: Mapping[str, Any] | str | Path, *, registry: Registry | None = None) -> Workflow:
    """Compile a definition to a workflow.

    Args:
        definition: a dict, JSON text, or the path of a JSON file.
        registry: the blocks and kinds to use instead of those of the installed plugins.

    Raises:
        WorkflowDefinitionError: `.problems` lists everything that is wrong.
        PluginError: WORKFLOW_ENGINE_PLUGINS names a plugin that is not installed.
    """
    known = registry if registry is not None else plugins.registry()
    read = read_definition(definition)
    plan, warnings = compile_definition(read, known)
    return Workflow(plan, warnings, known, read)
