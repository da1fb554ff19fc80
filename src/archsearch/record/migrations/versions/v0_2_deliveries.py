"""Each tracking store has its own mark of what it has received, instead of one flag for all."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "v0_2_deliveries"
down_revision = "v0_2_first_readings"

_OUTBOX = sa.table(
    "outbox",
    sa.column("id", sa.Integer),
    sa.column("search_id", sa.Integer),
    sa.column("delivered", sa.Boolean),
    sa.column("parked", sa.Text),
)
_IDS = sa.table(
    "tracking_ids",
    sa.column("search_id", sa.Integer),
    sa.column("server", sa.String),
    sa.column("key", sa.String),
)
_SEARCHES = sa.table("searches", sa.column("id", sa.Integer), sa.column("settings", sa.JSON))


def upgrade() -> None:
    """Make the marks, give the flags to the store that was used last, and drop the flags."""
    op.create_table(
        "deliveries",
        sa.Column("search_id", sa.Integer, sa.ForeignKey("searches.id"), primary_key=True),
        sa.Column("destination", sa.String(300), primary_key=True),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("through", sa.Integer, nullable=False),
        sa.Column("ahead", sa.JSON, nullable=False),
    )
    op.create_table(
        "parked",
        sa.Column("search_id", sa.Integer, sa.ForeignKey("searches.id"), primary_key=True),
        sa.Column("destination", sa.String(300), primary_key=True),
        sa.Column("message_id", sa.Integer, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
    )
    _keep_the_flags(op.get_bind())
    op.drop_index("ix_outbox_waiting", "outbox")
    with op.batch_alter_table("outbox", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_column("delivered")
        batch.drop_column("parked")
    op.create_index("ix_outbox_order", "outbox", ["search_id", "id"])


def _keep_the_flags(connection: sa.Connection) -> None:
    made = sa.MetaData()
    made.reflect(connection, only=["deliveries", "parked"])
    for search_id, settings in connection.execute(sa.select(*_SEARCHES.c)).all():
        destination = _last_used(connection, search_id, settings or {})
        if destination is None:
            continue
        messages = connection.execute(
            sa.select(_OUTBOX).where(_OUTBOX.c.search_id == search_id).order_by(_OUTBOX.c.id)
        ).all()
        waiting = [message.id for message in messages if not message.delivered]
        first = waiting[0] if waiting else max((m.id for m in messages), default=0) + 1
        key = {"search_id": search_id, "destination": destination}
        ahead = [m.id for m in messages if m.delivered and m.id > first]
        mark = {"used": 1, "through": first - 1, "ahead": ahead}
        connection.execute(made.tables["deliveries"].insert().values(**key, **mark))
        parked = [
            {**key, "message_id": m.id, "reason": m.parked}
            for m in messages
            if m.parked is not None
        ]
        if parked:
            connection.execute(made.tables["parked"].insert(), parked)


def _last_used(connection: sa.Connection, search_id: int, settings: dict[str, Any]) -> str | None:
    """The key of the store that the flags are about; None if none was ever reached.

    The settings have a store's name, which is its key but for files, and a search that went to
    one store only has its key beside the ids that the store gave.
    """
    recorded = settings.get("tracking_uri")
    named = "default" if recorded is None else str(recorded)[:300]
    ids = sa.select(_IDS.c.server).where(_IDS.c.search_id == search_id, _IDS.c.key == "search")
    known = set(connection.scalars(ids))
    if named in known:
        return named
    return known.pop() if len(known) == 1 else None
