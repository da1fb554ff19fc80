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


def take_requests(database: Database, search_id: int) -> list[RequestKind]:
    """The requests that wait, in order; they count as handled from now on."""
    waiting = (t.requests.c.search_id == search_id) & ~t.requests.c.handled
    query = sa.select(t.requests.c.id, t.requests.c.kind).where(waiting)
    with database.read() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return []
    with database.write() as connection:
        rows = connection.execute(query.order_by(t.requests.c.id)).all()
        connection.execute(t.requests.update().where(waiting).values(handled=True))
    return [row.kind for row in rows]
