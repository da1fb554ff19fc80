"""Delivers the outbox: in a thread beside a search, or at once for `pipeline.track`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from archsearch.errors import UnfitError
from archsearch.record import lease
from archsearch.record.database import DamagedRecordError, Database
from archsearch.record.outbox import Outbox
from archsearch.tracking.client import open_client, sentence
from archsearch.tracking.courier import Courier
from archsearch.tracking.mlflow_import import BACKGROUND_TIMEOUT_SECONDS
from archsearch.tracking.remote import cautions
from archsearch.tracking.sender_lease import STALE_SECONDS, SenderLease
from archsearch.tracking.store import TrackingStore

CLOSE_SECONDS = 30.0
_ROUND_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0


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
        warn: Called from the thread with one line, at most twice: when the server fails for the
            first time, and when it refuses a message for good.
        command: What delivers the rest later, for the closing line.
    """

    def __init__(
        self,
        database: Database,
        search_id: int,
        store: TrackingStore,
        *,
        warn: Callable[[str], None],
        command: str,
    ) -> None:
        self._store = store
        self._outbox = Outbox(database, search_id)
        self._sender_lease = SenderLease(database, search_id)
        self._warn = warn
        self._command = command
        self._courier: Courier | None = None
        self._warned = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin to deliver. MLflow is imported in the thread: that takes seconds."""
        self._thread.start()

    def close(self, timeout: float = CLOSE_SECONDS) -> int:
        """Deliver what waits and stop; how many messages are left.

        Waits for at most `timeout` seconds, and not at all for a server that fails. A thread
        that hangs in a call is left behind; it ends with the process.
        """
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._warned = True  # a thread that is left behind says nothing more
        left = self._outbox.count_waiting()
        if left:
            self._warn(
                f"{left} messages for tracking at {self._store.label} are not delivered; "
                f"`{self._command}` delivers them"
            )
        return left

    def _work(self) -> None:
        pause = _ROUND_SECONDS
        try:
            for caution in cautions(self._store):
                self._warn(caution)
            while True:
                closing = self._closing.is_set()
                try:
                    dealt = self._round()
                    pause = _ROUND_SECONDS
                except Exception as error:
                    dealt = 0
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
        if not self._outbox.count_waiting() or not self._sender_lease.hold():
            return 0
        if self._courier is None:
            client = open_client(self._store, BACKGROUND_TIMEOUT_SECONDS)
            self._courier = Courier(
                client,
                self._store,
                self._outbox,
                may_send=self._sender_lease.hold,
                warn=self._warn,
            )
        return self._courier.round()

    def _failed(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"tracking at {self._store.label} fails ({sentence(error)}); the search goes on, "
                "and what tracking misses is sent later"
            )


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
    database: Database, search_id: int, store: TrackingStore, *, rebuild: bool = False
) -> Delivery:
    """Deliver everything that waits, here and now.

    Args:
        database: The record.
        search_id: Whose messages.
        store: Where they go.
        rebuild: Send everything from the beginning; what is there already stays as it is.

    Raises:
        BusyError: Another process delivers this search's messages.
        UnfitError: The server fails.
    """
    outbox, sender_lease = Outbox(database, search_id), SenderLease(database, search_id)
    if not rebuild and not outbox.count_waiting():
        return Delivery(0, outbox.parked())
    _take(sender_lease)
    try:
        courier = Courier(
            open_client(store), store, outbox, may_send=sender_lease.hold, distrust=rebuild
        )
        if rebuild:
            outbox.redeliver()
        sent = 0
        while outbox.count_waiting():
            if not sender_lease.hold():
                raise BusyError("another process has begun to deliver; call this again later")
            sent += courier.round()
        return Delivery(sent, outbox.parked())
    except (BusyError, DamagedRecordError):
        raise
    except Exception as error:
        raise UnfitError(
            f"tracking at {store.label} fails ({sentence(error)}); {outbox.count_waiting()} "
            "messages wait in the record: call this again when the server answers"
        ) from error
    finally:
        sender_lease.release()


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
