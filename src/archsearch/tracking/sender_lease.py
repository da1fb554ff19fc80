"""One sender at a time for each search and destination: a row in the record says whose turn it is.

Two senders to one store could make a run twice. Senders to different stores share nothing: each
store has its own runs, its own ids and its own mark of what it has received. The
rule is that of a driver's lease: a holder on the same machine that is known to be dead is
replaced at once, any other one after its counter stood still for a while on our own clock.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from archsearch.record import lease
from archsearch.record.database import Database
from archsearch.record.deliveries import LEASE_KEY
from archsearch.record.tables import lock_search, tracking_ids

BEAT_SECONDS = 3.0
# One call to a server that hangs takes up to `BACKGROUND_TIMEOUT_SECONDS`, twice.
STALE_SECONDS = 40.0


class SenderLease:
    """The right to send one search's messages, for as long as `hold` says so."""

    def __init__(
        self,
        database: Database,
        search_id: int,
        destination: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._where = (
            tracking_ids.c.search_id == search_id,
            tracking_ids.c.server == destination,
            tracking_ids.c.key == LEASE_KEY,
        )
        self._search_id = search_id
        self._destination = destination
        self._clock = clock
        self._token = uuid.uuid4().hex
        self._next_beat = 0.0
        self._watched: tuple[str, int] | None = None
        self._watched_since = 0.0
        self.holder: dict[str, Any] | None = None

    def hold(self) -> bool:
        """Take the turn, keep it, or learn that somebody else has it (`holder`). Never waits."""
        if self._clock() < self._next_beat:
            return True
        with self._database.write() as connection:
            lock_search(connection, self._search_id)  # two that ask at once are served in turn
            row = connection.scalar(sa.select(tracking_ids.c.value).where(*self._where))
            value = json.loads(row) if row else None
            if value is not None and not self._may_take(value):
                return False
            beat = value["beat"] + 1 if value else 0
            mine = {"token": self._token, "beat": beat, "holder": lease.this_process()}
            connection.execute(tracking_ids.delete().where(*self._where))
            connection.execute(
                tracking_ids.insert().values(
                    search_id=self._search_id,
                    server=self._destination,
                    key=LEASE_KEY,
                    value=json.dumps(mine),
                )
            )
        self._next_beat = self._clock() + BEAT_SECONDS
        return True

    def _may_take(self, value: dict[str, Any]) -> bool:
        if value["token"] == self._token:
            return True
        self.holder = value["holder"]
        if lease.known_dead(value["holder"]):
            return True
        seen = (value["token"], value["beat"])
        if seen != self._watched:
            self._watched, self._watched_since = seen, self._clock()
        return self._clock() - self._watched_since >= STALE_SECONDS

    def release(self) -> None:
        """Let somebody else send, unless somebody already does."""
        self._next_beat = 0.0
        with self._database.write() as connection:
            lock_search(connection, self._search_id)
            row = connection.scalar(sa.select(tracking_ids.c.value).where(*self._where))
            if row and json.loads(row)["token"] == self._token:
                connection.execute(tracking_ids.delete().where(*self._where))
