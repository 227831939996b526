"""What the model is asked: one task about one image, with the settings of the generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from florence_blocks.locations import Box
from florence_blocks.names import ClassList
from florence_blocks.prompts import build_prompt, check_names, class_list
from florence_blocks.tasks import Task
from workflow_engine.data import Image

Coordinates = Literal["token", "refined"]


CONSTRAINED: Final = True
"""Whether answers are kept within their grammar by default."""
MOST_BEAMS: Final = 64
"""Each hypothesis has a cache of its own; more of them would take the memory of everybody else's."""
_BOUNDS: Final[Mapping[str, tuple[int, int | None]]] = {
    "max_new_tokens": (1, None),
    "num_beams": (1, MOST_BEAMS),
    "no_repeat_ngram_size": (0, None),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class Settings:
    """How an answer is generated; None leaves a setting to the checkpoint's own generation config.

    Attributes:
        max_new_tokens: the longest answer in tokens; no answer is longer than the model has positions, whatever is asked.
        num_beams: hypotheses kept side by side, at most `MOST_BEAMS`; 1 is greedy.
        do_sample: whether tokens are drawn by lot.
        no_repeat_ngram_size: length of the token sequences that may not come twice; 0 allows all. The published
            checkpoints use 3, which damages answers that repeat themselves rightly (JSON, tables).
        constrained: whether the answer is kept within the grammar of its task; a well-formed answer of greedy search stays
            what it is.
        seed: makes drawn tokens repeatable; None draws differently every time.
    """

    max_new_tokens: int | None = None
    num_beams: int | None = None
    do_sample: bool | None = None
    no_repeat_ngram_size: int | None = None
    seed: int | None = None
    constrained: bool = CONSTRAINED

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is None:
                continue
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value < least or (most is not None and value > most):
                upper = "" if most is None else f" and at most {most}"
                raise ValueError(f"`{name}` is a whole number of at least {least}{upper}, not {value!r}")
        for name in ("do_sample", "constrained"):
            if getattr(self, name) not in (None, True, False):
                raise ValueError(f"`{name}` is true or false, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class Request:
    """One question to the model.

    Names are cleaned here, whoever asks: blanks around them do not count, each comes once, and class ids are places in the list
    as it was given.

    Attributes:
        task: a row of the task table.
        image: the image it is about.
        phrase: the phrase, for tasks that need one.
        classes: the classes, for open-vocabulary detection.
        region: a box (x1, y1, x2, y2) in pixels of the image, for region tasks.
        text: the prompt, for the free prompt.
        names: the only names that things may be given; for region classification the classes whose probabilities are
            asked.
        settings: how the answer is generated.
        coordinates: `token` for the centres of the chosen bins, `refined` for the mean of what the model gave the bins
            around them.
        listed: the names of `classes` or `names` with their class ids.

    Raises:
        PromptError: `classes` or `names` are no list of names, or hold none.
    """

    task: Task
    image: Image
    phrase: str | None = None
    classes: tuple[str, ...] | None = None
    region: Box | None = None
    text: str | None = None
    names: tuple[str, ...] | None = None
    settings: Settings = field(default_factory=Settings)
    coordinates: Coordinates = "token"
    listed: ClassList = field(default_factory=ClassList, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("names", "classes"):
            given = getattr(self, name)
            if given is not None:
                listed = class_list(self.task, given)
                object.__setattr__(self, name, listed.names)
                object.__setattr__(self, "listed", listed)

    @property
    def prompt(self) -> str:
        """The sentence the model is asked.

        Raises:
            PromptError: the task lacks something it needs, or has no place for something that is given.
        """
        if self.names is not None:
            check_names(self.task, self.names)
        return build_prompt(self.task, phrase=self.phrase, classes=self.classes, region=self.region, text=self.text,
                            size=self.image.size)  # fmt: skip
