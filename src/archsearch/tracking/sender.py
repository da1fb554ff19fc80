"""Delivers the outbox: in a thread beside a search, or at once for `pipeline.track`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from archsearch.background import BackgroundThread
from archsearch.errors import UnfitError
from archsearch.record import lease
from archsearch.record.database import DamagedRecordError, Database
from archsearch.record.deliveries import Deliveries
from archsearch.tracking.client import sentence
from archsearch.tracking.courier import Courier
from archsearch.tracking.mlflow_import import (
    BACKGROUND_TIMEOUT_SECONDS,
    FOREGROUND_TIMEOUT_SECONDS,
)
from archsearch.tracking.open_tracker import open_tracker
from archsearch.tracking.remote import cautions
from archsearch.tracking.sender_lease import STALE_SECONDS, SenderLease
from archsearch.tracking.store import TrackingStore
from archsearch.tracking.tracker import ReplacedError, Tracker

CLOSE_SECONDS = 30.0
_ROUND_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_OPENINGS = 3
"""How often a store may be removed under one `deliver`."""

OpenTracker = Callable[[TrackingStore, Deliveries, int], Tracker]
"""Opens a destination: the store, what it has received, and seconds for each call."""


class BusyError(UnfitError):
    """Another process delivers this search's messages now."""


class Sender:
    """Delivers a search's messages from a thread of its own while the search runs.

    Nothing that happens to the server reaches the caller: not a refusal, not a hang, not an
    error of ours. Messages are safe in the record before they are sent.

    Args:
        database: The record.
        search_id: Whose messages.
        store: Where they go.
        warn: Called with one line, from the thread or from `close`: when the server fails for the
            first time, when it refuses a message for good, when the store was replaced, when the
            thread ends before its time, and when messages are left at the end.
        command: What delivers the rest later, for the closing line.
        open_destination: Opens the tracker; see `open_tracker`.
    """

    def __init__(
        self,
        database: Database,
        search_id: int,
        store: TrackingStore,
        *,
        warn: Callable[[str], None],
        command: str,
        open_destination: OpenTracker = open_tracker,
    ) -> None:
        self._store = store
        self._deliveries = Deliveries(database, search_id, store.key)
        self._sender_lease = SenderLease(database, search_id, store.key)
        self._warn = warn
        self._command = command
        self._open = open_destination
        self._courier: Courier | None = None
        self._warned = False
        self._closing = threading.Event()
        self._thread = BackgroundThread(self._work, "tracking", self._ended)

    def start(self) -> None:
        """Begin to deliver. MLflow is imported in the thread: that takes seconds.

        Raises:
            UnfitError: The record cannot be written.
        """
        self._deliveries.begin()
        try:
            self._thread.start()
        except RuntimeError as error:  # the system lets us have no thread
            self._ended(error)

    def close(self, timeout: float = CLOSE_SECONDS) -> int:
        """Deliver what waits and stop; how many messages are left.

        Waits for at most `timeout` seconds, and not at all for a server that fails. A thread
        that hangs in a call is left behind; it ends with the process.
        """
        self._closing.set()
        self._thread.join(timeout)
        self._warned = True  # a thread that is left behind says nothing more
        left = self._deliveries.count_waiting()
        if left:
            self._warn(
                f"{left} messages for tracking at {self._store.label} are not delivered; "
                f"`{self._command}` delivers them"
            )
        return left

    def _work(self) -> None:
        pause = _ROUND_SECONDS
        is_looked_at = False
        try:
            while True:
                closing = self._closing.is_set()
                dealt = 0
                try:
                    if not is_looked_at:
                        is_looked_at = True
                        for caution in cautions(self._store):
                            self._warn(caution)
                    dealt = self._round()
                    pause = _ROUND_SECONDS
                except ReplacedError:
                    self._reopen()
                    continue
                except Exception as error:
                    self._failed(error)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                # Asked to close before the round began: what could be delivered is delivered.
                if closing and not dealt:
                    return
                if not dealt:
                    self._closing.wait(pause)
        finally:
            with contextlib.suppress(Exception):
                self._sender_lease.release()

    def _round(self) -> int:
        if not self._deliveries.count_waiting():
            if self._courier is not None:
                self._courier.check()
            return 0
        if not self._sender_lease.hold():
            return 0
        if self._courier is None:
            self._courier = Courier(
                self._open(self._store, self._deliveries, BACKGROUND_TIMEOUT_SECONDS),
                self._deliveries,
                may_send=self._sender_lease.hold,
                warn=self._warn,
            )
        return self._courier.round()

    def _reopen(self) -> None:
        """The store is another one now, or none: let go of the old one."""
        if self._courier is not None:
            self._courier.tracker.close()
            self._courier = None
        self._tell(
            f"the tracking store {self._store.label} was removed or replaced while it was in use; "
            "everything that this search has told is delivered again to what is there now"
        )

    def _failed(self, error: Exception) -> None:
        if not self._warned:
            self._warned = self._tell(
                f"tracking at {self._store.label} fails ({sentence(error)}); the search goes on, "
                "and what tracking misses is sent later"
            )

    def _ended(self, error: Exception) -> None:
        self._tell(
            f"tracking at {self._store.label} has stopped ({sentence(error)}); the search goes "
            f"on, and `{self._command}` delivers what waits"
        )

    def _tell(self, text: str) -> bool:
        """Warn; whether it was heard. A listener that fails may hear the next warning."""
        try:
            self._warn(text)
        except Exception:
            return False
        return True


@dataclass(frozen=True)
class Delivery:
    """What `deliver` did.

    Attributes:
        sent: Messages that were dealt with, parked ones included.
        parked: Why messages of this search were ever put aside, one sentence each.
    """

    sent: int
    parked: list[str]


def deliver(
    database: Database,
    search_id: int,
    store: TrackingStore,
    *,
    rebuild: bool = False,
    open_destination: OpenTracker = open_tracker,
) -> Delivery:
    """Deliver everything that waits, here and now.

    Args:
        database: The record.
        search_id: Whose messages.
        store: Where they go.
        rebuild: Send everything from the beginning; what is there already stays as it is.
        open_destination: Opens the tracker; see `open_tracker`.

    Raises:
        BusyError: Another process delivers this search's messages.
        UnfitError: The server fails.
    """
    deliveries = Deliveries(database, search_id, store.key)
    sender_lease = SenderLease(database, search_id, store.key)
    _take(sender_lease)
    try:
        if rebuild:
            deliveries.redeliver()
        sent = 0
        for _ in range(_OPENINGS):
            try:
                sent += _deliver_all(deliveries, sender_lease, store, open_destination)
                return Delivery(sent, deliveries.parked())
            except ReplacedError:
                continue
        raise UnfitError(
            f"the tracking store {store.label} is removed or replaced again and again: end what "
            "does that, then call this again"
        )
    except (BusyError, DamagedRecordError):
        raise
    except Exception as error:
        raise _failure(store, deliveries, error) from error
    finally:
        sender_lease.release()


def _deliver_all(
    deliveries: Deliveries,
    sender_lease: SenderLease,
    store: TrackingStore,
    open_destination: OpenTracker,
) -> int:
    """Open the store and deliver until nothing waits; how many messages were dealt with.

    Asks the store also when nothing waits: it may have lost what it was told.
    """
    tracker = open_destination(store, deliveries, FOREGROUND_TIMEOUT_SECONDS)
    try:
        courier = Courier(tracker, deliveries, may_send=sender_lease.hold)
        courier.verify()
        sent = 0
        while deliveries.count_waiting():
            if not sender_lease.hold():
                raise BusyError("another process has begun to deliver; call this again later")
            sent += courier.round()
        return sent
    except ReplacedError:
        tracker.close()
        raise


def _failure(store: TrackingStore, deliveries: Deliveries, error: Exception) -> UnfitError:
    return UnfitError(
        f"tracking at {store.label} fails ({sentence(error)}); {deliveries.count_waiting()} "
        "messages wait in the record: call this again when the server answers"
    )


def _take(sender_lease: SenderLease) -> None:
    """Wait for the turn, unless its holder is known to be alive."""
    deadline = time.monotonic() + STALE_SECONDS + 2
    while not sender_lease.hold():
        holder = sender_lease.holder or {}
        if (holder and lease.known_alive(holder)) or time.monotonic() > deadline:
            raise BusyError(
                f"{lease.describe(holder)} delivers this search's messages now; watch it by "
                "`python -m pipeline.status`, or call this again when it has ended"
            )
        time.sleep(1.0)
