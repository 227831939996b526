"""Image features that were computed once, kept by the content of the image until others need the room."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor


class FeatureCache:
    """Features by image digest, the least recently used go first; bounded in bytes. Used by one thread.

    Attributes:
        limit: bytes at most.
        size: bytes held.
        hits: how often features were there.
        misses: how often they were not.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._kept

    def get(self, digest: bytes) -> Tensor | None:
        """The features of an image, if they are there."""
        features = self._kept.get(digest)
        if features is None:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(digest)
        return features

    def put(self, digest: bytes, features: Tensor) -> None:
        """Keep the features of an image."""
        self._kept[digest] = features
        self.size += features.nbytes
        while self.size > self.limit and self._kept:
            self.size -= self._kept.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.size = 0
