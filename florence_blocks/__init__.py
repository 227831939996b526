"""Florence-2 as typed blocks for workflows, and as a Python API (`Florence2`).

torch and transformers are imported when `Florence2` is first used, not with this package.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from florence_blocks.florence import Florence2

__all__ = ["Florence2"]


def __getattr__(name: str) -> Any:
    if name == "Florence2":
        from florence_blocks.florence import Florence2

        return Florence2
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
