"""`florence-2-demo`: a small real Florence-2 that the project trains itself, and the scenes it is trained on.

It knows coloured shapes and short words of capital letters, nothing else. It makes examples and tests real without a
download: every task of Florence-2 answered by the real model classes, and checked against what was drawn.
"""

from pathlib import Path

from florence_blocks.demo.film import Film, draw_film
from florence_blocks.demo.scenes import Scene, Shape, Word, draw_scene

CHECKPOINT = Path(__file__).parent / "checkpoint"
"""The folder of the embedded model; plain transformers loads it."""

__all__ = ["CHECKPOINT", "Film", "Scene", "Shape", "Word", "draw_film", "draw_scene"]
