"""Signals as a search understands them: once means finish the epochs, twice means now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from archsearch.errors import ArchsearchError


class InterruptedSearchError(ArchsearchError):
    """A signal came while there was nothing yet (or no more) to finish."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("interrupted; the same command continues the search")
        self.exit_code = exit_code


_URGENT = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)  # Windows has SIGTERM alone
]
"""Signals after which the process is ended soon: by an operator, a batch system that warns of a
job's end (SIGUSR1, SIGUSR2), or a terminal that is closed (SIGHUP)."""


class Interruption:
    """Catches signals in a block, and puts the former handlers back.

    The first SIGINT drains: running trials finish their epoch. A second one, or an urgent signal
    (SIGTERM, SIGHUP, SIGUSR1, SIGUSR2), stops at once. While no search is attached, a signal
    raises `InterruptedSearchError`. SIGHUP, SIGUSR1 and SIGUSR2 stay ignored where they are
    ignored already, as under `nohup`.

    Attributes:
        exit_code: 130 after SIGINT, 143 after an urgent signal, else None.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._is_urgent = False
        self._drain: Callable[[], None] | None = None
        self._stop: Callable[[], None] | None = None
        self._former: dict[int, Any] = {}

    @property
    def is_urgent(self) -> bool:
        """Whether the user or the system wants the process gone now."""
        return self._is_urgent

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # else they are not ours
            for number in (signal.SIGINT, *_URGENT):
                if not _stays_ignored(number):
                    self._former[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def attach(self, drain: Callable[[], None], stop: Callable[[], None]) -> None:
        """From here on, signals end this search in an orderly way."""
        self._drain, self._stop = drain, stop

    def detach(self) -> None:
        """The search has ended; a further signal just ends the process."""
        self._drain = self._stop = None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        first = self.exit_code is None
        self.exit_code = 130 if number == signal.SIGINT else 143
        if self._drain is None or self._stop is None:
            self._is_urgent = True
            raise InterruptedSearchError(self.exit_code)
        if number == signal.SIGINT and first:
            self._drain()
        else:
            self._is_urgent = True
            self._stop()


def _stays_ignored(number: int) -> bool:
    """Whether a signal is ignored because whoever started the process wants it so."""
    wanted = (signal.SIGINT, signal.SIGTERM)  # a shell's background jobs ignore SIGINT
    return number not in wanted and signal.getsignal(number) is signal.SIG_IGN
