"""Whether the transformers of this environment have Florence-2's native classes in a form that is known."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Final

LEAST: Final = (4, 57)
"""The first version that was tried; native Florence-2 classes came with 4.56."""

BEFORE: Final = (6, 0)
"""The first version that nobody has tried."""


def check_transformers() -> None:
    """See that transformers are there in a version that fits.

    Raises:
        ImportError: they are not; the message says what is there and what would fit.
    """
    wanted = ".".join(map(str, LEAST)), str(BEFORE[0])
    remedy = f"`pip install 'transformers>={wanted[0]},<{wanted[1]}'` brings one that does"
    try:
        there = version("transformers")
    except PackageNotFoundError:
        raise ImportError(f"transformers are not installed, which Florence-2 runs on; {remedy}") from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", there)[:2])
    if not LEAST <= numbers < BEFORE:
        raise ImportError(f"transformers {there} do not fit florence-blocks; {remedy}")
