"""What the model is asked: one task about one image, with the settings of the generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from florence_blocks.locations import Box
from florence_blocks.prompts import build_prompt, check_names
from florence_blocks.tasks import Task
from workflow_engine.data import Image

Coordinates = Literal["token", "refined"]


CONSTRAINED: Final = True
"""Whether answers are kept within their grammar by default."""


@dataclass(frozen=True)
class Settings:
    """How an answer is generated; None leaves a setting to the checkpoint's own generation config.

    Attributes:
        max_new_tokens: the longest answer in tokens.
        num_beams: hypotheses kept side by side; 1 is greedy.
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
        for name, least in (("max_new_tokens", 1), ("num_beams", 1), ("no_repeat_ngram_size", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ValueError(f"`{name}` is a whole number of at least {least}, not {value!r}")


@dataclass(frozen=True)
class Request:
    """One question to the model.

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
