"""A tracker that keeps messages in memory: what the sender's own rules are tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archsearch.record.deliveries import Deliveries
from archsearch.record.outbox import Message
from archsearch.tracking.store import TrackingStore
from archsearch.tracking.tracker import ReplacedError, Tracker


class RefusedError(Exception):
    """The place will never take this message."""


@dataclass
class Place:
    """What outlives a tracker: the messages that arrived, and which store it is.

    Attributes:
        received: By id, in the order of arrival.
        generation: Another number is another store at the same place.
        openings: How often it was opened.
        fails: Called with the name of each call before it is made; may raise.
    """

    received: dict[int, Message] = field(default_factory=dict)
    generation: int = 0
    openings: int = 0
    fails: Callable[[str], None] = lambda call: None
    refused: frozenset[str] = frozenset()

    def replace(self) -> None:
        """Somebody removes the store; another one is made in its stead."""
        self.generation += 1
        self.received = {}

    def open(self, store: TrackingStore, deliveries: Deliveries, timeout_seconds: int) -> Tracker:
        """As `open_tracker`."""
        self.fails("open")
        self.openings += 1
        return MemoryTracker(self)


class MemoryTracker:
    """One search in memory; see `Tracker`."""

    epochs_per_call = 70

    def __init__(self, place: Place) -> None:
        self._place = place
        self._generation = place.generation
        self._received = place.received

    def knows_search(self) -> bool:
        self._place.fails("knows_search")
        return any(m.kind == "search_started" for m in self._received.values())

    def send(self, messages: Sequence[Message]) -> None:
        self._place.fails("send")
        for message in messages:
            if message.kind in self._place.refused:
                raise RefusedError(message.kind)
            self._received.setdefault(message.id, message)

    def check(self) -> None:
        self._place.fails("check")
        if self._generation != self._place.generation:
            raise ReplacedError

    def is_refusal(self, error: Exception) -> bool:
        self._place.fails("is_refusal")
        return isinstance(error, RefusedError)

    def describe(self, error: BaseException) -> str:
        self._place.fails("describe")
        return str(error)

    def close(self) -> None:
        pass
