"""The values given to a run, checked and laid out as columns before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workflow_engine.arrays import batch_of
from workflow_engine.data import Image
from workflow_engine.errors import Problem, WorkflowInputError, did_you_mean, listing, shown
from workflow_engine.language import said
from workflow_engine.lineage import RUN
from workflow_engine.plan import Plan, PlannedInput
from workflow_engine.report import ElementError, Failed
from workflow_engine.state import LiveLevel, RunState


class Part(list[Any]):
    """The images of one run of a stream, taken from whoever gave them.

    Attributes:
        first: the place of the first of them in the stream.
    """

    def __init__(self, images: Iterable[Any], first: int) -> None:
        super().__init__(images)
        self.first = first


def taken(value: Any, depth: int, *, allow_urls: bool) -> Any:
    """An image, or lists of images so many levels deep, as they are now, to be used later.

    What cannot be read becomes an image that says so when it is used.
    """
    if depth > 1:
        inner = value if isinstance(value, (list, tuple)) else [value]
        return [taken(one, depth - 1, allow_urls=allow_urls) for one in inner]
    try:
        return Image.load(value, allow_urls=allow_urls)
    except Exception as error:  # whatever it is, its element fails alone
        return Image.unreadable(error)


def load_inputs(plan: Plan, given: Mapping[str, Any], *, allow_urls: bool) -> RunState:
    """Lay out the inputs of a run. What the caller gave is never changed.

    An image that cannot be read is no reason to stop: its element fails, and the others go on.

    Args:
        plan: what will be executed.
        given: the inputs by name.
        allow_urls: whether images may be fetched from http(s) addresses.

    Raises:
        WorkflowInputError: with a problem for every input that is missing, unknown, or does not fit.
    """
    problems = [
        Problem(name, "no such input", did_you_mean(name, names) or f"inputs: {listing(names)}")
        for names in [[item.name for item in plan.inputs]]
        for name in given
        if name not in names
    ]
    state = RunState(plan, max((value.first for value in given.values() if isinstance(value, Part)), default=0))
    batches: dict[str, list[Any]] = {}
    for item in plan.inputs:
        if item.required and item.name not in given:
            problems.append(Problem(item.name, "missing: the workflow needs this input"))
        elif item.level == RUN:
            _load_parameter(state, item, given, problems)
        else:
            batches[item.name] = _as_list(given[item.name])
    size = _batch_size(batches, problems)
    for item in plan.inputs:
        if item.name in batches and not problems:
            values = batches[item.name]
            _load_batch(state, item, values * size if len(values) == 1 else values, allow_urls, problems)
    if problems:
        raise WorkflowInputError(problems)
    return state


def _load_parameter(state: RunState, item: PlannedInput, given: Mapping[str, Any], problems: list[Problem]) -> None:
    value = given.get(item.name, item.default)
    if item.name in given:
        try:
            value = _deserialise(item, value, allow_urls=False)
        except ValueError as error:
            problems.append(Problem(item.name, str(error)))
            return
        for place, check in item.checks:
            try:
                check(value)
            except ValueError as error:
                problems.append(Problem(item.name, f"{shown(value)} does not fit {place}: {_reason(error)}"))
    state.store(("", item.name), [value])


def _reason(error: ValueError) -> str:
    """The first complaint of pydantic, or the error's own words."""
    details = getattr(error, "errors", None)
    return said(details(include_url=False)[0]) if details else str(error)


def _as_list(value: Any) -> list[Any]:
    """One value for one image, or one per image."""
    if isinstance(value, (list, tuple)):
        return list(value)
    batch = batch_of(value)
    return [value] if batch is None else batch


def _batch_size(batches: Mapping[str, list[Any]], problems: list[Problem]) -> int:
    """How many images the run has; a single value goes with any number."""
    sizes = {name: len(values) for name, values in batches.items()}
    several = {name: size for name, size in sizes.items() if size != 1}
    if len(set(several.values())) > 1:
        lengths = ", ".join(f"`{name}` has {size}" for name, size in several.items())
        problems.append(Problem("", f"batches of different lengths: {lengths}; equal lengths, or one value, would fit"))
    return next(iter(several.values()), 1)


def _load_batch(state: RunState, item: PlannedInput, values: list[Any], allow_urls: bool, problems: list[Problem]) -> None:
    outermost, *deeper = _levels_down_to(state, item)
    state.levels.setdefault(outermost, LiveLevel.of_counts([len(values)]))
    for level in deeper:
        if not all(isinstance(value, (list, tuple)) for value in values):
            problems.append(Problem(item.name, f"lists nested {item.dimensionality} deep would fit: one list per image"))
            return
        state.levels[level] = LiveLevel.of_counts([len(value) for value in values])
        values = [inner for value in values for inner in value]
    loaded = []
    for position, value in enumerate(values):
        try:
            loaded.append(_load_element(state, item, position, value, allow_urls))
        except ValueError as error:
            index = "".join(f"[{part}]" for part in state.index(item.level, position))
            problems.append(Problem(f"{item.name}{index}", str(error)))
    state.store(("", item.name), loaded)


def _levels_down_to(state: RunState, item: PlannedInput) -> list[int]:
    chain, level = [], item.level
    while level != RUN:
        chain.append(level)
        level = state.plan.levels[level].parent or RUN
    return chain[::-1]


def _load_element(state: RunState, item: PlannedInput, position: int, value: Any, allow_urls: bool) -> Any:
    if not item.is_image or isinstance(value, (list, tuple)):  # a list in place of an image is nested wrongly
        return _deserialise(item, value, allow_urls=allow_urls)
    try:
        image = Image.load(value, allow_urls=allow_urls)
        _ = image.array
    except Exception as error:  # whatever it is, it fails alone
        index = state.index(item.level, position)
        return Failed(ElementError.of(f"$inputs.{item.name}", "", index, error), error)
    return image


def _deserialise(item: PlannedInput, value: Any, *, allow_urls: bool) -> Any:
    """What blocks expect of what a caller gave, by the first kind that takes it.

    Raises:
        ValueError: no kind takes it.
    """
    if item.is_image:
        return Image.load(value, allow_urls=allow_urls)
    readers = [kind.deserialise for kind in item.kinds if kind.deserialise]
    if readers and len(readers) == len(item.kinds):
        return readers[0](value)
    return value
