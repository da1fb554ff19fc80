"""What a driver's loop, its threads and its signal handlers share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from archsearch.search.director import Director


class StoppedWhileWaitingError(BaseException):
    """Leaves a wait for somebody else; no `Exception`, which a library might catch."""


class RunState:
    """The director, and how the run ends.

    Ray Tune turns an exception in a callback into a failed trial; kept here it ends the run, and
    is raised when the loop has returned.
    """

    def __init__(self, director: Director) -> None:
        self.director = director
        self.error: BaseException | None = None
        self.stop_now = False
        self._is_waiting = False
        self.on_started: Callable[[int, str], None] = lambda num_slots, devices: None
        self.say: Callable[[str], None] = lambda sentence: None

    def fail(self, error: BaseException) -> None:
        """End the run with this error, unless there is one already."""
        self.error = self.error or error
        self.stop_now = True

    def stop(self) -> None:
        """End the run now; called by a signal's handler, which runs in the main thread.

        Raises:
            StoppedWhileWaitingError: The main thread waits in `waiting`.
        """
        self.stop_now = True
        if self._is_waiting:
            self._is_waiting = False
            raise StoppedWhileWaitingError

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A block of the main thread that waits for others, and that `stop` leaves at once."""
        self._is_waiting = not self.stop_now
        try:
            if self.stop_now:
                raise StoppedWhileWaitingError
            yield
        finally:
            self._is_waiting = False

    def guarded(self, action: Callable[[], Any], otherwise: Any) -> Any:
        """The action's answer, or `otherwise` once something has gone wrong."""
        if self.error is not None:
            return otherwise
        try:
            return action()
        except Exception as error:
            self.fail(error)
            return otherwise

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its parts for a restore that this project never asks for.
        return {}
