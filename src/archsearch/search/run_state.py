"""What a driver's loop and its threads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archsearch.search.director import Director


class RunState:
    """The director, and how the run ends.

    Ray Tune turns an exception in a callback into a failed trial; kept here it ends the run, and
    is raised when the loop has returned.
    """

    def __init__(self, director: Director) -> None:
        self.director = director
        self.error: BaseException | None = None
        self.stop_now = False
        self.on_started: Callable[[int, str], None] = lambda num_slots, devices: None
        self.say: Callable[[str], None] = lambda sentence: None

    def fail(self, error: BaseException) -> None:
        """End the run with this error, unless there is one already."""
        self.error = self.error or error
        self.stop_now = True

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
