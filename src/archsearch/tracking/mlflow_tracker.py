"""The MLflow projection as the sender's tracker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archsearch.files import file_identity
from archsearch.record.deliveries import Deliveries
from archsearch.record.outbox import Message
from archsearch.tracking.client import close_client, is_refusal, open_client, sentence
from archsearch.tracking.projection import EPOCHS_PER_CALL, Projection
from archsearch.tracking.runs import KnownRuns
from archsearch.tracking.store import TrackingStore
from archsearch.tracking.tracker import ReplacedError, StartOverError

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowTracker:
    """One search on one MLflow store; see `Tracker`.

    Args:
        client: Of that store.
        store: Where the client points.
        deliveries: Of that search to that store, where ids of runs are remembered.
    """

    epochs_per_call = EPOCHS_PER_CALL

    def __init__(self, client: MlflowClient, store: TrackingStore, deliveries: Deliveries) -> None:
        self._client = client
        self._store = store
        self._file = None if store.sqlite is None else file_identity(store.sqlite)
        self._runs = KnownRuns(client, store, deliveries)
        self._projection = Projection(client, store, self._runs)

    @classmethod
    def open(
        cls, store: TrackingStore, deliveries: Deliveries, timeout_seconds: int
    ) -> MlflowTracker:
        """Connect; an SQLite store is made if need be.

        Raises:
            UnfitError: The store cannot be made or used.
            Exception: Whatever MLflow raises for a server that fails.
        """
        return cls(open_client(store, timeout_seconds), store, deliveries)

    def knows_search(self) -> bool:
        """Whether the search's own run is there and not deleted."""
        return self._runs.verify()

    def send(self, messages: Sequence[Message]) -> None:
        """Send; a trial's run that somebody deleted is restored, or everything is sent again."""
        try:
            self._send(messages)
        except Exception as error:
            number = messages[0].number
            if number is None or not self.is_refusal(error):
                raise
            match self._runs.revive(number):
                case "active" | "unknown":
                    raise
                case "restored":
                    self._send(messages)
                case "gone":
                    raise StartOverError from error

    def _send(self, messages: Sequence[Message]) -> None:
        first = messages[0]
        if first.kind == "epoch" and first.number is not None:
            self._projection.send_epochs(first.number, messages)
        else:
            self._projection.send(first)

    def check(self) -> None:
        """Compare the file that an SQLite store's path names with the one that was opened."""
        if self._store.sqlite is not None and file_identity(self._store.sqlite) != self._file:
            raise ReplacedError

    def is_refusal(self, error: Exception) -> bool:
        """See `client.is_refusal`."""
        return is_refusal(error, self._store)

    def describe(self, error: BaseException) -> str:
        """MLflow's error in a sentence."""
        return sentence(error)

    def close(self) -> None:
        """Let go of the store's file: connections to one that was removed would live on."""
        if not self._store.is_server:
            close_client(self._client)
