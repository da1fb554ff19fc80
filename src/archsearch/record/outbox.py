"""The outbox: what tracking has still to be told, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter

from archsearch.record import tables as t
from archsearch.record.cells import Count, Milliseconds, Whole
from archsearch.record.database import Database, now_ms
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


COLUMNS = tuple(t.outbox.c[name] for name in ("id", "kind", "number", "payload", "created_ms"))
"""What `read_messages` must be given of a message."""

_ROWS: dict[str, TypeAdapter[_Row[Payload]]] = {
    kind: TypeAdapter(_Row[payload])  # type: ignore[valid-type]  # a type known when it runs
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
            sa.select(*COLUMNS)
            .where(t.outbox.c.search_id == self._search_id, t.outbox.c.kind.in_(kinds))
            .order_by(t.outbox.c.id.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            found = read_messages(self._database, connection, query)
        return found[0] if found else None

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
            # they can be seen: whoever delivers would pass over one that comes later.
            t.lock_search(connection, self._search_id)
            if connection.scalar(query) != (after.id if after else None):
                return False
            post(connection, self._search_id, payload)
        return True


def read_messages(
    database: Database, connection: sa.Connection, query: sa.Select[Any]
) -> list[Message]:
    """The messages that a query of their columns finds.

    Raises:
        DamagedRecordError: One of them is none.
    """
    # All rows first: one that is refused would leave its result, and so an old view, open.
    return [_message(database, row) for row in connection.execute(query).all()]
