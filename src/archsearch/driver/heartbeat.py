"""Keeps a search's lease while it runs, and watches its time budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from archsearch.background import BackgroundThread
from archsearch.record.lease import HEARTBEAT_SECONDS
from archsearch.record.writer import Writer


class Heartbeat:
    """A thread that beats once a second in a block.

    Args:
        writer: Holds the lease.
        on_error: Called once, with what it was, when the lease is lost, the record cannot be
            used, or what is watched goes wrong: the heart has stopped then, and nobody watches
            any more.
    """

    def __init__(self, writer: Writer, on_error: Callable[[Exception], None]) -> None:
        self._writer = writer
        self._watch: Callable[[], None] = lambda: None
        self._ended = threading.Event()
        self._started = self._last = time.monotonic()
        self._thread = BackgroundThread(self._run, "heartbeat", on_error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """How long the block has lasted."""
        return time.monotonic() - self._started

    def watch(self, action: Callable[[], None]) -> None:
        """Call `action` with every beat from now on."""
        self._watch = action

    def _run(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            self._beat()
        self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        self._writer.beat(now - self._last)
        self._last = now
        self._watch()
