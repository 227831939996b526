"""Modules that are imported on first use, so that checking a workflow does not pay for running it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stands for a module and imports it when an attribute is first asked for.

    Use it under `TYPE_CHECKING`: type checkers see the real import, the interpreter sees this.

        if TYPE_CHECKING:
            import cv2
        else:
            cv2 = LazyModule("cv2")
    """

    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(self.__name__)
        value = getattr(module, name)
        setattr(self, name, value)
        return value
