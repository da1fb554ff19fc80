"""The outbox: what tracking has still to be told, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter

from archsearch.record import tables as t
from archsearch.record.cells import Count, Milliseconds, Whole
from archsearch.record.database import DamagedRecordError, Database, insert, now_ms
from archsearch.record.messages import PAYLOADS, Payload

P = TypeVar("P")


@dataclass(frozen=True)
class Message:
    """One event that waits for delivery.

    Attributes:
        id: Its place in the order.
        number: The trial, if it concerns one.
        payload: What happened.
        created_ms: When it happened; the time stamp of its metric points, however often sent.
    """

    id: int
    number: int | None
    payload: Payload
    created_ms: int

    @property
    def kind(self) -> str:
        """What the record calls its kind."""
        return self.payload.KIND


@dataclass(frozen=True)
class _Row(Generic[P]):
    id: Whole
    number: Count | None
    payload: P
    created_ms: Milliseconds


_COLUMNS = tuple(t.outbox.c[name] for name in ("id", "kind", "number", "payload", "created_ms"))
_ROWS: dict[str, TypeAdapter[_Row[Payload]]] = {
    kind: TypeAdapter(_Row[payload])  # type: ignore[valid-type]
    for kind, payload in PAYLOADS.items()
}


def post(
    connection: sa.Connection, search_id: int, payload: Payload, number: int | None = None
) -> None:
    """Add a message, in the transaction that writes what it tells of."""
    connection.execute(
        t.outbox.insert().values(
            search_id=search_id,
            kind=payload.KIND,
            number=number,
            payload=payload.stored(),
            created_ms=now_ms(),
        )
    )


def _message(database: Database, row: sa.Row[Any]) -> Message:
    """A row of the outbox, typed by its kind.

    Raises:
        UnfitError: The record is damaged, or a newer release has written it.
    """
    form = _ROWS.get(row.kind)
    if form is None:
        raise database.damaged(f"kind of a message to tracking is {row.kind!r}")
    found = database.validated(form, row, f"a message to tracking ({row.kind})")
    return Message(found.id, found.number, found.payload, found.created_ms)


class Outbox:
    """What one search has told, whoever has received it."""

    def __init__(self, database: Database, search_id: int) -> None:
        self._database = database
        self._search_id = search_id

    def last(self, *kinds: str) -> Message | None:
        """The newest message of these kinds, delivered or not."""
        query = (
            sa.select(*_COLUMNS)
            .where(t.outbox.c.search_id == self._search_id, t.outbox.c.kind.in_(kinds))
            .order_by(t.outbox.c.id.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _message(self._database, row)

    def add(self, payload: Payload, *, after: Message | None, among: Iterable[str]) -> bool:
        """Add a message about what was learnt without a driver: a reading of the test split.

        Args:
            payload: Of the message.
            after: What `last` said of the kinds that are named next.
            among: If another process has added one of these since, nothing is added.

        Returns:
            Whether it was added.
        """
        query = sa.select(sa.func.max(t.outbox.c.id)).where(
            t.outbox.c.search_id == self._search_id, t.outbox.c.kind.in_(list(among))
        )
        with self._database.write() as connection:
            # As a driver's events do, so that messages get their numbers in the order in which
            # they can be seen.
            connection.execute(
                sa.select(t.searches.c.id)
                .where(t.searches.c.id == self._search_id)
                .with_for_update()
            )
            if connection.scalar(query) != (after.id if after else None):
                return False
            post(connection, self._search_id, payload)
        return True


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

    def waiting(self, limit: int = 500) -> list[Message]:
        """The oldest undelivered messages, in order."""
        query = (
            sa.select(*_COLUMNS)
            .where(t.outbox.c.search_id == self._search_id, ~t.outbox.c.delivered)
            .order_by(t.outbox.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [_message(self._database, row) for row in rows]

    def count_waiting(self) -> int:
        """How many messages are not delivered yet."""
        query = sa.select(sa.func.count()).where(
            t.outbox.c.search_id == self._search_id, ~t.outbox.c.delivered
        )
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def parked(self) -> list[str]:
        """Why messages were given up, one sentence each."""
        query = sa.select(t.outbox.c.parked).where(
            t.outbox.c.search_id == self._search_id, t.outbox.c.parked.is_not(None)
        )
        with self._database.read() as connection:
            return [str(reason) for reason in connection.scalars(query)]

    def delivered(self, ids: Iterable[int]) -> None:
        """These messages have arrived."""
        self._set(list(ids), delivered=True)

    def park(self, message_id: int, reason: str) -> None:
        """The destination will never take this message; it is put aside, with the reason."""
        self._set([message_id], delivered=True, parked=reason)

    def redeliver(self) -> None:
        """Everything waits again, and what the destination called our things is forgotten."""
        ids = t.tracking_ids.c
        with self._database.write() as connection:
            connection.execute(
                t.outbox.update()
                .where(t.outbox.c.search_id == self._search_id)
                .values(delivered=False, parked=None)
            )
            connection.execute(
                t.tracking_ids.delete().where(
                    ids.search_id == self._search_id, ids.server == self._destination
                )
            )

    def _set(self, ids: list[int], **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(t.outbox.update().where(t.outbox.c.id.in_(ids)).values(**values))

    def damaged(self, what: str) -> DamagedRecordError:
        """What to raise when the messages cannot be all that there were."""
        return self._database.damaged(what)

    def known_id(self, key: str) -> str | None:
        """The destination's name for one of our things (`search`, `trial-7`), if stored."""
        ids = t.tracking_ids.c
        query = sa.select(ids.value).where(
            ids.search_id == self._search_id,
            ids.server == self._destination,
            ids.key == key,
        )
        with self._database.read() as connection:
            value = connection.scalar(query)
        return None if value is None else str(value)

    def store_id(self, key: str, value: str) -> None:
        """Remember the destination's name for one of our things."""
        with self._database.write() as connection:
            query = insert(connection, t.tracking_ids).values(
                search_id=self._search_id, server=self._destination, key=key, value=value
            )
            keys = ["search_id", "server", "key"]
            connection.execute(
                query.on_conflict_do_update(index_elements=keys, set_={"value": value})
            )
