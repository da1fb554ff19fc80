"""Threads beside the main one that cannot end without anybody knowing."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundThread:
    """A daemon thread that tells of whatever ends it but its own return.

    Python prints the traceback of a thread that dies and goes on: work that others rely on would
    stop in silence.

    Args:
        work: What it does; its return is the only end that is not told.
        name: For debuggers.
        on_error: Called in the thread, once, with what ended it. What is no `Exception`, such as
            the `SystemExit` of a library that calls `sys.exit`, comes as the cause of a
            `RuntimeError`, so that nobody who raises it again ends the process.
    """

    def __init__(
        self, work: Callable[[], None], name: str, on_error: Callable[[Exception], None]
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin the work.

        Raises:
            RuntimeError: The system lets this process have no more threads.
        """
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, for at most `timeout` seconds; a thread that never began has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._on_error(error)
        except BaseException as error:
            told = RuntimeError(f"the thread {self._thread.name!r} was ended by {error!r}")
            told.__cause__ = error
            self._on_error(told)
