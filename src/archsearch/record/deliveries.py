"""What each tracking store has received of a search: a mark in the order of its messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from archsearch.record import tables as t
from archsearch.record.cells import Count
from archsearch.record.database import DamagedRecordError, Database, insert
from archsearch.record.outbox import COLUMNS, Message, read_messages

OWN_STORE = "default"
"""The key of the runs folder's own tracking store, wherever the folder is."""

LEASE_KEY = "turn"
"""Among a destination's ids: which process sends to it now; see `tracking.sender_lease`."""


@dataclass(frozen=True)
class _Mark:
    """How far a destination has come.

    Attributes:
        used: Numbers the destinations in the order in which drivers began to use them; 0 for one
            that no driver used.
        through: All messages up to this one have arrived or were parked.
        ahead: So have these beyond it: epochs of several trials are sent trial by trial.
    """

    used: Count
    through: Count
    ahead: list[Count]


@dataclass(frozen=True)
class _Used:
    destination: str
    used: Count


_MARK = TypeAdapter(_Mark)
_USED = TypeAdapter(_Used)
_UNTOLD = _Mark(used=0, through=0, ahead=[])


@dataclass(frozen=True)
class DeliveryState:
    """How one destination of a search stands.

    Attributes:
        destination: The tracking store's key.
        is_current: Whether the last driver delivered there.
        waiting: Messages that it has not received yet.
        parked: Messages that it refused for good.
    """

    destination: str
    is_current: bool
    waiting: int
    parked: int


class Deliveries:
    """One search's messages as one destination has them.

    Args:
        database: The record.
        search_id: Whose messages.
        destination: The tracking store's key.
    """

    def __init__(self, database: Database, search_id: int, destination: str) -> None:
        self._database = database
        self._search_id = search_id
        self._destination = destination

    def begin(self) -> None:
        """A driver delivers here from now on: this is the search's current destination."""
        newest = sa.select(sa.func.max(t.deliveries.c.used)).where(
            t.deliveries.c.search_id == self._search_id
        )
        with self._database.write() as connection:
            mark = self._locked_mark(connection)
            last = connection.scalar(newest) or 0
            if mark.used == 0 or mark.used != last:
                self._write(connection, used=last + 1, through=mark.through, ahead=mark.ahead)

    def waiting(self, limit: int = 500) -> list[Message]:
        """The oldest messages that have not arrived, in order."""
        with self._database.read() as connection:
            mark = self._mark(connection)
            query = self._beyond(mark).limit(limit + len(mark.ahead))
            found = read_messages(self._database, connection, query)
        ahead = set(mark.ahead)
        return [message for message in found if message.id not in ahead][:limit]

    def count_waiting(self) -> int:
        """How many messages have not arrived yet."""
        with self._database.read() as connection:
            mark = self._mark(connection)
            beyond = self._beyond(mark).with_only_columns(sa.func.count()).order_by(None)
            return (connection.scalar(beyond) or 0) - len(mark.ahead)

    def parked(self) -> list[str]:
        """Why messages were given up, one sentence each."""
        query = sa.select(t.parked.c.reason).where(*self._here(t.parked))
        with self._database.read() as connection:
            return [str(reason) for reason in connection.scalars(query)]

    def delivered(self, ids: Iterable[int]) -> None:
        """These messages have arrived."""
        with self._database.write() as connection:
            self._advance(connection, ids)

    def park(self, message_id: int, reason: str) -> None:
        """The destination will never take this message; it is put aside, with the reason."""
        with self._database.write() as connection:
            self._advance(connection, [message_id])
            key = {
                "search_id": self._search_id,
                "destination": self._destination,
                "message_id": message_id,
            }
            same = (t.parked.c[name] == value for name, value in key.items())
            connection.execute(t.parked.delete().where(*same))
            connection.execute(t.parked.insert().values(**key, reason=reason))

    def redeliver(self) -> None:
        """Everything waits again, and what the destination called our things is forgotten."""
        with self._database.write() as connection:
            mark = self._locked_mark(connection)
            self._write(connection, used=mark.used, through=0, ahead=[])
            connection.execute(t.parked.delete().where(*self._here(t.parked)))
            connection.execute(
                t.tracking_ids.delete().where(*self._named(), t.tracking_ids.c.key != LEASE_KEY)
            )

    def damaged(self, what: str) -> DamagedRecordError:
        """What to raise when the messages cannot be all that there were."""
        return self._database.damaged(what)

    def known_id(self, key: str) -> str | None:
        """The destination's name for one of our things (`search`, `trial-7`), if stored."""
        query = sa.select(t.tracking_ids.c.value).where(
            *self._named(), t.tracking_ids.c.key == key
        )
        with self._database.read() as connection:
            value = connection.scalar(query)
        return None if value is None else str(value)

    def store_id(self, key: str, value: str) -> None:
        """Remember the destination's name for one of our things."""
        row = {"search_id": self._search_id, "server": self._destination, "key": key}
        with self._database.write() as connection:
            query = insert(connection, t.tracking_ids).values(**row, value=value)
            connection.execute(
                query.on_conflict_do_update(index_elements=list(row), set_={"value": value})
            )

    def _advance(self, connection: sa.Connection, ids: Iterable[int]) -> None:
        mark = self._locked_mark(connection)
        ahead = {*mark.ahead, *(each for each in ids if each > mark.through)}
        beyond = self._beyond(mark).with_only_columns(t.outbox.c.id).limit(len(ahead) + 1)
        through = mark.through
        for each in connection.scalars(beyond):
            if each not in ahead:
                break
            ahead.remove(each)
            through = each
        self._write(connection, used=mark.used, through=through, ahead=sorted(ahead))

    def _beyond(self, mark: _Mark) -> sa.Select[Any]:
        return (
            sa.select(*COLUMNS)
            .where(t.outbox.c.search_id == self._search_id, t.outbox.c.id > mark.through)
            .order_by(t.outbox.c.id)
        )

    def _locked_mark(self, connection: sa.Connection) -> _Mark:
        """The mark, to be written by this transaction: others wait, also for one not made yet."""
        t.lock_search(connection, self._search_id)
        return self._mark(connection)

    def _mark(self, connection: sa.Connection) -> _Mark:
        columns = (t.deliveries.c[name] for name in _Mark.__dataclass_fields__)
        row = connection.execute(sa.select(*columns).where(*self._here(t.deliveries))).first()
        if row is None:
            return _UNTOLD
        return self._database.validated(_MARK, row, "what tracking has received")

    def _write(self, connection: sa.Connection, **values: Any) -> None:
        connection.execute(t.deliveries.delete().where(*self._here(t.deliveries)))
        connection.execute(
            t.deliveries.insert().values(
                search_id=self._search_id, destination=self._destination, **values
            )
        )

    def _here(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            table.c.search_id == self._search_id,
            table.c.destination == self._destination,
        )

    def _named(self) -> tuple[sa.ColumnElement[bool], ...]:
        ids = t.tracking_ids.c
        return (ids.search_id == self._search_id, ids.server == self._destination)


def delivery_states(database: Database, search_id: int) -> list[DeliveryState]:
    """How each destination that a search was ever delivered to stands; the current one first."""
    query = (
        sa.select(*(t.deliveries.c[name] for name in _Used.__dataclass_fields__))
        .where(t.deliveries.c.search_id == search_id)
        .order_by(t.deliveries.c.used.desc())
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    used = [database.validated(_USED, row, "what tracking has received") for row in rows]
    states = []
    for place, one in enumerate(used):
        deliveries = Deliveries(database, search_id, one.destination)
        states.append(
            DeliveryState(
                destination=one.destination,
                is_current=place == 0,
                waiting=deliveries.count_waiting(),
                parked=len(deliveries.parked()),
            )
        )
    return states
