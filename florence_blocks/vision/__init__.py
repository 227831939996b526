"""Companion blocks for any detector's output: crop, filter, count, format, draw. They know nothing of Florence."""
