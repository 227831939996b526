"""Workflows to look at: their graph, and what a run did with a few images."""
