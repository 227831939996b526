"""Coordinates while a step runs: what it is given meets its image, what it answers knows its view.

`meet` is the one place where detections and zones of one view are brought to another; `stamp` the one where new detections
learn which image they lie on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from workflow_engine.data import Image
from workflow_engine.detections import (
    ORIGIN,
    Zones,
    each_placed,
    holds_placed,
    is_detections,
    onto,
    origin_of,
    placed_values,
    stamped,
)
from workflow_engine.origin import Origin
from workflow_engine.plan import PlannedStep
from workflow_engine.report import Failed, Skipped
from workflow_engine.state import RunState


class Placement:
    """The views of the elements of one step call.

    Attributes:
        columns: the fields of the step by name, one value per element of `level`.
    """

    def __init__(self, step: PlannedStep, state: RunState, level: int, columns: dict[str, list[Any]]) -> None:
        self.columns = columns
        self._viewing = step.viewing
        self._collapses = step.block.dimension < 0
        self._inherited: list[Any] | None = None
        source = step.viewing.inherited
        if source is not None and step.viewing.stamps:
            self._inherited = state.spread(state.columns[source.column].items, source.level, level)

    def meet(self, active: Sequence[int]) -> dict[int, Exception]:
        """Bring the placed values of every active element to the view they meet.

        Returns:
            What went wrong, by element: values of different pictures.
        """
        fields = self._viewing.fields
        failed: dict[int, Exception] = {}
        if not fields:
            return failed
        for name in fields:
            self.columns[name] = list(self.columns[name])
        for place in active:
            view = self._meeting_view(place)
            if view is None:
                continue
            bring = partial(onto, view=view)
            try:
                for name in fields:
                    self.columns[name][place] = each_placed(self.columns[name][place], bring)
            except ValueError as error:
                failed[place] = error
        return failed

    def _meeting_view(self, place: int) -> Origin | None:
        """The view of the step's image; without one, that of the first placed value, or its root where a dimension closes."""
        if self._viewing.image is not None:
            image = self.columns[self._viewing.image][place]
            return image.origin if isinstance(image, Image) else None
        origins = self._origins(place, self._viewing.fields)
        first = next((origin for origin in origins if origin is not None), None)
        return first.root if first is not None and self._collapses else first

    def _origins(self, place: int, fields: Sequence[str]) -> Iterator[Origin | None]:
        for name in fields:
            yield from map(origin_of, placed_values(self.columns[name][place]))

    def stamp(self, values: tuple[Any, ...], place: int) -> tuple[Any, ...]:
        """The outputs of an element, in which new images and detections know their view.

        An image that does not say where it came from and is as large as the step's image is taken for the same view.
        Detections that do not say where they lie (no `metadata["origin"]`) lie on the image answered beside them, else on the
        step's image, else on the view of what the step was given.
        """
        if not self._viewing.stamps or not any(map(_is_open, values)):
            return values
        image = self._image(place)
        if image is not None:
            values = tuple(value.seen_as(image) if isinstance(value, Image) else value for value in values)
        view = self._answer_view(values, image, place)
        if view is None:
            return values
        return tuple(each_placed(value, lambda found: stamped(found, view) if _is_open(found) else found) for value in values)

    def _image(self, place: int) -> Image | None:
        """The image an element came from."""
        value = None if self._inherited is None else self._inherited[place]
        return value if isinstance(value, Image) and not isinstance(value, (Skipped, Failed)) else None

    def _answer_view(self, values: tuple[Any, ...], image: Image | None, place: int) -> Origin | None:
        beside = [value for value in values if isinstance(value, Image)]
        if len(beside) == 1:
            return beside[0].origin
        if self._viewing.image is not None and image is not None:
            return image.origin
        given = set(self._origins(place, tuple(self.columns)))
        if len(given) == 1 and None not in given:
            return given.pop()
        return None if image is None or given else image.origin


def _is_open(value: Any) -> bool:
    """Whether an answer holds something that does not say where it comes from."""
    if type(value) is str or type(value) is Zones:
        return False
    if isinstance(value, Image):
        return value.is_placeless
    if is_detections(value):
        return ORIGIN not in value.metadata
    return holds_placed(value) and any(map(_is_open, placed_values(value)))
