"""The pass over views: which image the elements of a step came from, and where their coordinates meet an image.

Detections may be found on one view of a picture (a crop, a resized copy) and used on another. The plan says for every step
which of its fields is the image that they meet; while it runs, `placement` brings them there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from workflow_engine.drafts import Draft, Use
from workflow_engine.kinds import ANY, DETECTIONS, IMAGE, Kind
from workflow_engine.lineage import Lineage
from workflow_engine.plan import Source, Viewing
from workflow_engine.references import Names, column_of
from workflow_engine.selectors import Selector

_WITHOUT_COORDINATES: Final = {
    "image", "string", "integer", "float", "float_zero_to_one", "boolean", "video_metadata", "classification_prediction",
    "language_model_output", "bytes", "timestamp", "top_class", "secret",
}  # fmt: skip


class Views:
    """Fills in the viewing of one step after the other, in an order in which they can run."""

    def __init__(self, names: Names, lineage: Lineage, level_of: Callable[[Selector], int | None]) -> None:
        self._names = names
        self._lineage = lineage
        self._level_of = level_of
        self._images: dict[str, Source | None] = {}
        """For every step the image that what it gives came from."""

    def of(self, draft: Draft, output_level: int) -> Viewing:
        """How the values of a step go with images."""
        shown = self._image_use(draft)
        inherited = self._source(shown) if shown else self._inherited(draft)
        if inherited is not None and inherited.level not in self._lineage.path(output_level):
            inherited = None
        self._images[draft.name] = self._own_image(draft, output_level) or inherited
        outputs = draft.block.outputs_of(draft.manifest).values()
        return Viewing(
            image=shown.field if shown else None,
            fields=self._meeting_fields(draft, shown),
            inherited=inherited,
            stamps=any(_may_be_placed(output.kinds) or IMAGE in output.kinds for output in outputs),
        )

    def _image_use(self, draft: Draft) -> Use | None:
        """The field whose image the others meet: the one the block names, or its only one."""
        if draft.block.view is None:
            return None
        uses = [use for use in draft.uses if use.key is None and self._takes_image(use)]
        if draft.block.view:
            uses = [use for use in uses if use.field == draft.block.view]
        return uses[0] if len(uses) == 1 else None

    def _takes_image(self, use: Use) -> bool:
        if ANY in use.reference.kinds:
            return self._kinds(use) == (IMAGE,)
        return IMAGE in use.reference.kinds

    def _kinds(self, use: Use) -> tuple[Kind, ...]:
        return self._names.resolve(use.reference.selector, "")[0] or ()

    def _meeting_fields(self, draft: Draft, shown: Use | None) -> tuple[str, ...]:
        """The fields that are brought to one view; none where nothing can meet."""
        if draft.block.view is None:
            return ()
        placed = [use for use in draft.uses if use is not shown and _may_be_placed(self._kinds(use))]
        if shown is None:
            declared = [use for use in placed if set(use.reference.kinds) & set(DETECTIONS)]
            several = len(placed) > 1 or draft.block.dimension < 0
            if not declared or not several:
                return ()
        return tuple(dict.fromkeys(use.field for use in placed))

    def _inherited(self, draft: Draft) -> Source | None:
        """The image that a step without one is about: that of the first step it reads from that has one."""
        for use in draft.uses:
            found = self._images.get(use.reference.selector.name) if use.reference.selector.root == "steps" else None
            if found is not None:
                return found
        return None

    def _own_image(self, draft: Draft, output_level: int) -> Source | None:
        """The image that a step opens a dimension with, such as a crop."""
        if draft.block.dimension <= 0:
            return None
        outputs = draft.block.outputs_of(draft.manifest)
        images = [name for name, output in outputs.items() if output.kinds == (IMAGE,)]
        return Source(None, (draft.name, images[0]), output_level, None, nullable=True) if len(images) == 1 else None

    def _source(self, use: Use) -> Source | None:
        level = self._level_of(use.reference.selector)
        return None if level is None else Source(None, column_of(use.reference.selector), level, None, nullable=True)


def _may_be_placed(kinds: tuple[Kind, ...]) -> bool:
    """Whether values of these kinds may hold coordinates."""
    return not all(kind.name in _WITHOUT_COORDINATES for kind in kinds)
