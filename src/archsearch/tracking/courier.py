"""Carries waiting messages to the server in order, and notes which ones have arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from archsearch.record.outbox import Message, Outbox
from archsearch.tracking.client import is_refusal, sentence
from archsearch.tracking.projection import EPOCHS_PER_CALL, Projection
from archsearch.tracking.runs import KnownRuns, UnknownRunError
from archsearch.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

MESSAGES_PER_ROUND = 500


class StartOverError(Exception):
    """The server lost what it was told; everything waits to be sent again."""


class Courier:
    """Delivers one search's messages to one store.

    Messages of one run arrive in order. A message that fails for now stops the round: it and
    all after it are sent later. A message that is refused although the server is well is parked
    in the record with the reason, and the round goes on.

    Args:
        client: Of that store.
        store: Where the client points.
        outbox: Of that search.
        may_send: Asked before each call whether it is still our turn.
        warn: Told once when a message is parked.
        distrust: See `KnownRuns`.
    """

    def __init__(
        self,
        client: MlflowClient,
        store: TrackingStore,
        outbox: Outbox,
        *,
        may_send: Callable[[], bool],
        warn: Callable[[str], None] = lambda text: None,
        distrust: bool = False,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._runs = KnownRuns(client, store, outbox, distrust=distrust)
        self._projection = Projection(client, store, self._runs)
        self._may_send = may_send
        self._warn = warn
        self._verified = False
        self._parked = 0

    def round(self) -> int:
        """Deliver up to `MESSAGES_PER_ROUND` waiting messages; how many were dealt with.

        Raises:
            UnfitError: The record has lost the message with which everything begins.
            Exception: Whatever MLflow raised for a reason that may pass.
        """
        if not self._outbox.count_waiting():
            return 0
        if not self._verified:
            if not self._runs.verify():
                self._outbox.redeliver()
            self._verified = True
        dealt = 0
        try:
            for group in _grouped(self._outbox.waiting(MESSAGES_PER_ROUND)):
                if not self._may_send():
                    break
                self._deliver(group)
                dealt += len(group)
        except StartOverError:
            self._outbox.redeliver()
            if self._outbox.waiting(1)[0].kind != "search_started":
                raise self._outbox.damaged("the search's first message is missing") from None
        return dealt

    def _deliver(self, group: list[Message]) -> None:
        try:
            self._send(group)
        except Exception as error:
            if not self._is_refused(error):
                raise
            self._send_one_by_one(group)
        else:
            self._outbox.delivered(m.id for m in group)

    def _send_one_by_one(self, group: list[Message]) -> None:
        """Something in the group was refused: find out what, on a server that answers."""
        is_known = self._runs.verify()
        if not is_known and group[0].kind != "search_started":
            raise StartOverError
        for message in group:
            try:
                self._send([message])
            except Exception as error:
                # Without the search's own run nothing else can be delivered.
                if not self._is_refused(error) or not is_known:
                    raise
                self._park(message, sentence(error))
            else:
                self._outbox.delivered([message.id])

    def _send(self, group: list[Message]) -> None:
        first = group[0]
        if first.kind == "epoch" and first.number is not None:
            self._projection.send_epochs(first.number, group)
        else:
            self._projection.send(first)

    def _is_refused(self, error: Exception) -> bool:
        known = isinstance(error, UnknownRunError | KeyError | ValueError)
        return known or is_refusal(error, self._store)

    def _park(self, message: Message, reason: str) -> None:
        self._outbox.park(message.id, reason)
        self._parked += 1
        if self._parked == 1:
            about = "" if message.number is None else f" of trial {message.number}"
            self._warn(
                f"tracking refused a message ({message.kind}{about}) for good, so it is put "
                f"aside: {reason}"
            )


def _grouped(messages: list[Message]) -> Iterator[list[Message]]:
    """Epochs of one trial together, across those of other trials; all else alone, in order."""
    epochs: dict[int, list[Message]] = {}
    for message in messages:
        number = message.number
        if message.kind == "epoch" and number is not None:
            waiting = epochs.setdefault(number, [])
            waiting.append(message)
            if len(waiting) == EPOCHS_PER_CALL:
                yield epochs.pop(number)
            continue
        if number is None:
            yield from epochs.values()
            epochs.clear()
        elif number in epochs:
            yield epochs.pop(number)
        yield [message]
    yield from epochs.values()
