"""The model at work: all that imports torch. Checkpoints, preprocessing, decoding and the shared instances."""

from florence_blocks.runtime.installed import check_transformers

check_transformers()  # before a module imports a class that another version does not have
