"""What the sender needs of a place that is told of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from archsearch.record.outbox import Message


class StartOverError(Exception):
    """The tracker lost what it was told; everything must be sent again from the first message."""


class ReplacedError(Exception):
    """The store that is held open is no longer the one at its place; it must be opened anew."""


class Tracker(Protocol):
    """One destination of one search's messages, held open.

    Order of calls: `knows_search` before anything else; if it says no, everything is sent from
    the search's first message. Then `send`, any number of times, with messages of one trial in
    their order, those of the search after all that came before them. `check` right after every
    `send`, before its messages count as delivered, and now and then while nothing is sent.
    `close` at the end; nothing is called after it. All calls come from one thread.

    Obligations:

    * What `send` was given is there for good when it returns and `check` finds nothing.
    * Sending the same messages again in the same order changes nothing, also after any of the
      calls was cut short by the death of the process: nothing is made twice.
    * Time stamps are those of the messages, never those of the call.
    * What was deleted behind our back is made anew: by `send` itself, or by `StartOverError`.
    * No call blocks for long: a destination that hangs raises within seconds.

    Attributes:
        epochs_per_call: How many epochs of one trial `send` takes at once.
    """

    epochs_per_call: int

    def knows_search(self) -> bool:
        """Ask the destination whether it still has the search; False if all must be sent again.

        What an earlier answer said is forgotten.
        """

    def send(self, messages: Sequence[Message]) -> None:
        """Send one message of any kind, or several epochs of one trial.

        Raises:
            StartOverError: What the messages build upon is gone.
            Exception: They did not arrive, or not all; `is_refusal` tells which kind it is.
        """

    def check(self) -> None:
        """See that what is held open is still what is at its place.

        Raises:
            ReplacedError: It was removed or replaced.
        """

    def is_refusal(self, error: Exception) -> bool:
        """Whether the destination is well and will never take what `send` gave it.

        All else is taken for temporary: it is sent again later.
        """

    def describe(self, error: BaseException) -> str:
        """What went wrong, in one short line without secrets."""

    def close(self) -> None:
        """Give back connections; never raises."""
