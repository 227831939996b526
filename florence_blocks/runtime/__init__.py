"""The model at work: all that imports torch. Checkpoints, preprocessing, decoding and the shared instances."""
