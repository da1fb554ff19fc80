"""How long a trial may take for an epoch before it is taken to hang."""

from __future__ import annotations

import statistics
from collections import deque

FACTOR = 20.0
"""Epochs of the largest and the smallest variant of a space differ by less."""


class Patience:
    """Learns from the epochs that it sees: `FACTOR` times their median, but at least a floor.

    Attributes:
        floor_seconds: Long enough for a cold worker to start and to read its data.
    """

    def __init__(self, floor_seconds: float = 300.0) -> None:
        self.floor_seconds = floor_seconds
        self._seen: deque[float] = deque(maxlen=200)

    def saw(self, seconds: float) -> None:
        """An epoch took so long."""
        self._seen.append(seconds)

    @property
    def seconds(self) -> float:
        """How long to wait for the next epoch of any trial."""
        if not self._seen:
            return self.floor_seconds
        return max(self.floor_seconds, FACTOR * statistics.median(self._seen))
