"""How far a process has come in its work, for another thread that has to know whether it hangs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

STEP_LIMIT_SECONDS = 900.0
"""How long one indivisible step may take: building a network, writing a checkpoint."""

TRANSFER_LIMIT_SECONDS = 3600.0
"""How long data or weights may take to reach this machine, or to be prepared by another process
that holds their lock."""


class Progress:
    """Counts finished pieces of work; written by one thread, read by another.

    A piece is a training step, a batch of validation images, or a whole step that cannot be
    divided. While such a step runs, the process counts as alive up to the step's limit. Between
    two pieces nothing else does: a process that hangs is one that finishes none.
    """

    def __init__(self) -> None:
        self._finished = 0
        self._seen = 0
        self._alive_until = float("-inf")

    def advance(self) -> None:
        """A piece is finished. Costs less than a microsecond, so each training step calls it."""
        self._finished += 1

    @contextlib.contextmanager
    def indivisible(self, limit_seconds: float = STEP_LIMIT_SECONDS) -> Iterator[None]:
        """A block that is one piece, and counts as alive for `limit_seconds` while it runs."""
        self._alive_until = time.monotonic() + limit_seconds
        try:
            yield
        finally:
            self._alive_until = float("-inf")
            self.advance()

    def has_moved(self) -> bool:
        """Whether there was a sign of life since the last call."""
        finished = self._finished
        moved = finished != self._seen
        self._seen = finished
        return moved or time.monotonic() < self._alive_until
