"""The typed Florence-2 blocks, made from the task table, and the plugin that brings them."""
