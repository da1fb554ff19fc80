"""Carries waiting messages to a tracker in order, and notes which ones have arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import EpochEnded, SearchStarted
from archsearch.record.outbox import Message
from archsearch.tracking.tracker import ReplacedError, StartOverError, Tracker

MESSAGES_PER_ROUND = 500


class Courier:
    """Delivers one search's messages to one tracker.

    Messages of one trial arrive in order. A message that fails for now stops the round: it and
    all after it are sent later. A message that is refused although the destination is well is
    parked in the record with the reason, and the round goes on.

    Args:
        tracker: The destination, open.
        deliveries: What has arrived there.
        may_send: Asked before each call whether it is still our turn.
        warn: Told once when a message is parked.
    """

    def __init__(
        self,
        tracker: Tracker,
        deliveries: Deliveries,
        *,
        may_send: Callable[[], bool],
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.tracker = tracker
        self._deliveries = deliveries
        self._may_send = may_send
        self._warn = warn
        self._verified = False
        self._parked = 0

    def check(self) -> None:
        """See that what was delivered is still where it went.

        Raises:
            ReplacedError: It is not; everything waits to be sent to a tracker that is opened anew.
        """
        try:
            self.tracker.check()
        except ReplacedError:
            self._deliveries.redeliver()
            raise

    def verify(self) -> None:
        """Ask the tracker once whether it has the search; if not, everything waits again."""
        if not self._verified:
            if not self.tracker.knows_search():
                self._deliveries.redeliver()
            self._verified = True

    def round(self) -> int:
        """Deliver up to `MESSAGES_PER_ROUND` waiting messages; how many were dealt with.

        Raises:
            UnfitError: The record has lost the message with which everything begins.
            ReplacedError: See `check`.
            Exception: Whatever the tracker raised for a reason that may pass.
        """
        self.check()
        self.verify()
        dealt = 0
        waiting = self._deliveries.waiting(MESSAGES_PER_ROUND)
        try:
            for group in _grouped(waiting, self.tracker.epochs_per_call):
                if not self._may_send():
                    break
                self._deliver(group)
                dealt += len(group)
        except StartOverError:
            self._deliveries.redeliver()
            self._verified = False
            if self._deliveries.waiting(1)[0].kind != SearchStarted.KIND:
                raise self._deliveries.damaged("the search's first message is missing") from None
        return dealt

    def _deliver(self, group: list[Message]) -> None:
        try:
            self.tracker.send(group)
        except Exception as error:
            if not self.tracker.is_refusal(error):
                raise
            self._send_one_by_one(group)
        else:
            self._arrived(group)

    def _arrived(self, group: list[Message]) -> None:
        self.check()
        self._deliveries.delivered(m.id for m in group)

    def _send_one_by_one(self, group: list[Message]) -> None:
        """Something in the group was refused: find out what, on a destination that answers."""
        is_known = self.tracker.knows_search()
        if not is_known and group[0].kind != SearchStarted.KIND:
            raise StartOverError
        for message in group:
            try:
                self.tracker.send([message])
            except Exception as error:
                # Without the search's own run nothing else can be delivered.
                if not self.tracker.is_refusal(error) or not is_known:
                    raise
                self.check()
                self._park(message, self.tracker.describe(error))
            else:
                self._arrived([message])

    def _park(self, message: Message, reason: str) -> None:
        self._deliveries.park(message.id, reason)
        self._parked += 1
        if self._parked == 1:
            about = "" if message.number is None else f" of trial {message.number}"
            self._warn(
                f"tracking refused a message ({message.kind}{about}) for good, so it is put "
                f"aside: {reason}"
            )


def _grouped(messages: list[Message], epochs_per_call: int) -> Iterator[list[Message]]:
    """Epochs of one trial together, across those of other trials; all else alone, in order."""
    epochs: dict[int, list[Message]] = {}
    for message in messages:
        number = message.number
        if isinstance(message.payload, EpochEnded) and number is not None:
            waiting = epochs.setdefault(number, [])
            waiting.append(message)
            if len(waiting) == epochs_per_call:
                yield epochs.pop(number)
            continue
        if number is None:
            yield from epochs.values()
            epochs.clear()
        elif number in epochs:
            yield epochs.pop(number)
        yield [message]
    yield from epochs.values()
