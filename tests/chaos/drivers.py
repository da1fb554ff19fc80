"""Drivers in processes of their own, which can be killed, stopped and tampered with."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from archsearch.driver.run import TrialRunner, run_search
from archsearch.errors import ArchsearchError
from archsearch.search.events import Event, WarningNotice
from archsearch.search.request import SearchRequest
from tests.search_support import SyntheticRunner, learning_curve

TIMEOUT_SECONDS = 120.0
_running: set[int] = set()
CRASHED = 70


@dataclass(frozen=True)
class End:
    """How a driver's process ended.

    Attributes:
        code: 0, the exit code of an `ArchsearchError`, `CRASHED` for any other exception, or
            minus the number of the signal that killed it.
        told: What it said last: the error's text (`CRASHED`: the traceback) or the answer.
        warnings: Every warning of the search.
    """

    code: int
    told: str
    warnings: tuple[str, ...] = ()


@dataclass
class Driver:
    """A forked process that runs a search; its text comes back through a file."""

    pid: int
    said: Path
    _end: End | None = field(default=None, init=False)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return not self._poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.is_running:
            os.kill(self.pid, number)

    def wait(self, timeout: float = TIMEOUT_SECONDS) -> End:
        """Wait for its end.

        Raises:
            AssertionError: It takes too long; it is killed then.
        """
        deadline = time.monotonic() + timeout
        while not self._poll():
            if time.monotonic() > deadline:
                end_all()
                raise AssertionError(f"process {self.pid} did not end in {timeout:.0f} s")
            time.sleep(0.01)
        assert self._end is not None
        return self._end

    def _poll(self) -> bool:
        if self._end is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                _running.discard(pid)
                told, *warnings = self.said.read_text().split("\0") if self.said.exists() else [""]
                self.said.unlink(missing_ok=True)
                self._end = End(os.waitstatus_to_exitcode(status), told, tuple(warnings))
        return self._end is not None


def start(
    request: SearchRequest,
    runner: TrialRunner | None = None,
    *,
    before: Callable[[], object] = lambda: None,
    answer: Callable[[], str] = lambda: "",
) -> Driver:
    """Run a search in a forked process.

    Args:
        request: What is asked for.
        runner: Where trials run; synthetic by default.
        before: Called in the process first: installs faults.
        answer: Called in the process last: what `End.told` is.
    """
    said = Path(tempfile.gettempdir(), f"archsearch-said-{os.getpid()}-{time.monotonic_ns()}")
    pid = os.fork()
    if pid:
        _running.add(pid)
        return Driver(pid, said)
    warnings: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, WarningNotice):
            warnings.append(event.text)

    code, told = CRASHED, ""
    try:
        before()
        result = run_search(request, listen, run_trials=runner or SyntheticRunner())
        code, told = result.exit_code, answer()
    except ArchsearchError as error:
        code, told = error.exit_code, f"{type(error).__name__}: {error}"
    except BaseException:
        told = traceback.format_exc()
    finally:
        said.write_text("\0".join([told, *warnings]))
        os._exit(code)


def end_all() -> None:
    """Kill the drivers that a test has left behind, sleeping ones too."""
    while _running:
        pid = _running.pop()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def finish(request: SearchRequest, runner: TrialRunner | None = None) -> End:
    """Run the search to its end.

    Raises:
        AssertionError: It did not finish.
    """
    end = start(request, runner).wait()
    assert end.code == 0, end.told
    return end


def paced(seconds: float) -> SyntheticRunner:
    """A runner whose epochs take time."""

    def curve(assignment: Any, epoch: int) -> float:
        time.sleep(seconds)
        return learning_curve(assignment, epoch)

    return SyntheticRunner(curve=curve)


class Steps:
    """Counts what this process does to the world, and sends it a signal before one of these.

    A step is a database statement, a commit, or a file that is opened for writing, renamed or
    removed. Steps of the main thread only are counted, so that the same search has the same
    steps each time.

    Args:
        folder: Where files count.
        at: The step before which the signal comes; None for never.
        number: The signal.
        only: What the step must be for it to count; by default any.
    """

    def __init__(
        self,
        folder: Path,
        at: int | None = None,
        number: signal.Signals = signal.SIGKILL,
        *,
        only: Literal["file", "statement", "commit"] | None = None,
    ) -> None:
        self._folder = str(folder)
        self._at = at
        self._number = number
        self._only = only
        self.count = 0

    def install(self) -> None:
        """Begin to count; for the rest of the process's life."""
        sa.event.listen(sa.Engine, "before_cursor_execute", lambda *_: self._step("statement"))
        sa.event.listen(sa.Engine, "commit", lambda *_: self._step("commit"))
        sys.addaudithook(self._on_audit)

    def _on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.truncate") or (
            event == "open" and len(arguments) > 2 and int(arguments[2] or 0) & os.O_ACCMODE
        )
        if writes and str(arguments[0]).startswith(self._folder):
            self._step("file")

    def _step(self, kind: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self.count += self._only in (None, kind)
        if self.count == self._at:
            self._at = None
            os.kill(os.getpid(), self._number)
