"""Silence for what one thread loads: no progress bars of transformers, no lines about retries of the hub.

Other threads and other libraries see and write what they always do, and afterwards all is as it was.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from transformers.utils import logging as transformers_logging

_RETRIES: Final = "huggingface_hub.utils._http"
_REPORTS: Final = "transformers.modeling_utils"
_lock = threading.Lock()
_loading: list[int] = []
_before: Any = None
_set_hook: Callable[[Any], Any] = getattr(transformers_logging, "set_tqdm_hook", lambda hook: None)
"""Older transformers have no way to leave out the bars of one thread; there they are shown."""


@contextmanager
def without_reports() -> Iterator[None]:
    """No progress bars and no tables of weights of transformers from this thread; its switch for all of them is left alone."""
    global _before
    mine = threading.get_ident()
    with _lock:
        if not _loading:
            _before = _set_hook(_bar)
        _loading.append(mine)
    try:
        with _without_lines(_REPORTS):
            yield
    finally:
        with _lock:
            _loading.remove(mine)
            if not _loading:
                _set_hook(_before)


def _bar(factory: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The progress bar that transformers asks for, unless a quiet thread asks."""
    if threading.get_ident() in _loading:
        return transformers_logging.EmptyTqdm(*given, **options)
    return factory(*given, **options) if _before is None else _before(factory, given, options)


@contextmanager
def without_retry_lines() -> Iterator[None]:
    """No lines about retries from this thread; why the last one failed is in the error."""
    with _without_lines(_RETRIES):
        yield


@contextmanager
def _without_lines(name: str) -> Iterator[None]:
    """No warnings of a logger from this thread."""
    mine = threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != mine or record.levelno >= logging.ERROR

    logger = logging.getLogger(name)
    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)
