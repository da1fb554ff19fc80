"""A trial's reports with signs of life between them, so that a long epoch is not taken to hang."""

from __future__ import annotations

import enum
import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from archsearch.search.assignment import Report
from archsearch.training.progress import Progress

_Answer = TypeVar("_Answer")


class Sign(enum.Enum):
    """What a trial says in the place of a report."""

    WAITING = "waiting"
    """It has no workers yet, because there is no room for them."""
    ALIVE = "alive"
    """Its workers have come further since its last sign."""


class ReportThread:
    """Trains trials in a thread of its own, while the calling thread watches their progress.

    One thread for all trials of a worker: torch keeps its settings and its pool of threads by
    the thread that uses it. It is a daemon, so a worker that has to end does not wait for it.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="training", daemon=True).start()

    def reports(
        self, reports: Generator[Report, None, None], progress: Progress, seconds: float
    ) -> Generator[Report | Sign, None, None]:
        """The reports, each trained when it is asked for, and `Sign.ALIVE` while one is trained.

        Args:
            reports: Of one trial; this thread alone runs it.
            progress: What the trial's work advances.
            seconds: Between two signs. There is none while the work does not advance.
        """
        report: Future[Report | None] = Future()
        report.set_result(None)
        try:
            while True:
                report = self._call(lambda: next(reports, None))
                while not wait([report], timeout=seconds).done:
                    if progress.has_moved():
                        yield Sign.ALIVE
                finished = report.result()
                if finished is None:
                    return
                yield finished
        finally:
            closed = self._call(reports.close)
            if report.done():  # else the worker is ended in the middle of an epoch
                closed.result()

    def _call(self, task: Callable[[], _Answer]) -> Future[_Answer]:
        future: Future[_Answer] = Future()
        self._tasks.put((future, task))
        return future

    def _run(self) -> None:
        while True:
            future, task = self._tasks.get()
            try:
                future.set_result(task())
            except BaseException as error:  # the calling thread raises it
                future.set_exception(error)


def send_signs(progress: Progress, send: Callable[[], object], seconds: float) -> None:
    """Call `send` every so many seconds in which the work has advanced, from a thread."""

    def run() -> None:
        while True:
            time.sleep(seconds)
            if progress.has_moved():
                send()

    threading.Thread(target=run, name="signs of life", daemon=True).start()
