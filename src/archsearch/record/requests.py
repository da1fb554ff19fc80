"""What other commands ask of a running driver; the driver looks with every heartbeat."""

from __future__ import annotations

from typing import Literal, get_args

import sqlalchemy as sa

from archsearch.record import tables as t
from archsearch.record.database import Database, now_ms

RequestKind = Literal["pause", "unpause", "stop", "cancel"]
REQUEST_KINDS: tuple[RequestKind, ...] = get_args(RequestKind)


def post_request(database: Database, search_id: int, kind: RequestKind) -> int:
    """Ask the driver of a search for something; the request's id."""
    with database.write() as connection:
        query = (
            t.requests.insert()
            .values(search_id=search_id, kind=kind, created_ms=now_ms())
            .returning(t.requests.c.id)
        )
        return int(connection.execute(query).scalar_one())


def is_handled(database: Database, request_id: int) -> bool:
    """Whether a driver has taken the request."""
    query = sa.select(t.requests.c.handled).where(t.requests.c.id == request_id)
    with database.read() as connection:
        return bool(connection.scalar(query))


def is_paused(database: Database, search_id: int) -> bool:
    """Whether the driver that runs the search has taken a pause, and nothing that ends it."""
    o, r = t.outbox.c, t.requests.c
    began = (
        sa.select(sa.func.max(o.created_ms))
        .where(o.search_id == search_id, o.kind == "search_started")
        .scalar_subquery()
    )
    query = (
        sa.select(r.kind)
        .where(r.search_id == search_id, r.handled, r.kind.in_(("pause", "unpause")))
        .where(r.created_ms >= sa.func.coalesce(began, 0))
        .order_by(r.id.desc())
        .limit(1)
    )
    with database.read() as connection:
        return connection.scalar(query) == "pause"


def are_waiting(database: Database, search_id: int) -> bool:
    """Whether a driver should take requests; a look that waits for nobody."""
    with database.read() as connection:
        return (
            connection.execute(sa.select(t.requests.c.id).where(_waiting(search_id))).first()
            is not None
        )


def take_requests(connection: sa.Connection, search_id: int) -> list[RequestKind]:
    """The requests that wait, in order; with this statement they count as handled."""
    query = (
        t.requests.update()
        .where(_waiting(search_id))
        .values(handled=True)
        .returning(t.requests.c.id, t.requests.c.kind)
    )
    return [row.kind for row in sorted(connection.execute(query), key=lambda row: row.id)]


def _waiting(search_id: int) -> sa.ColumnElement[bool]:
    return (t.requests.c.search_id == search_id) & ~t.requests.c.handled
