"""The tables of the record: the only truth about a search.

One database holds any number of searches (a file has one, a PostgreSQL server many). Order is
told by sequence numbers; wall-clock columns (`*_ms`, milliseconds since 1970) are for display
and for the tracking server only.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISIONS = ("v0_1_tables", "v0_2_first_readings", "v0_2_deliveries")
"""What these tables have been, first to last; `archsearch.record.migrations` has each step."""

REVISION = REVISIONS[-1]

metadata = sa.MetaData()


def _search_id(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "search_id", sa.ForeignKey("searches.id"), primary_key=primary_key, nullable=False
    )


# The number of the revision: archsearch 0.1 reads nothing else, and refuses what it does not know.
versions = sa.Table("versions", metadata, sa.Column("version", sa.Integer, primary_key=True))

# Its name, in a table of the form that Alembic keeps; a record of 0.1 has none.
schema_revision = sa.Table(
    "schema_revision", metadata, sa.Column("version_num", sa.String(32), primary_key=True)
)

searches = sa.Table(
    "searches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uuid", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    # What a resume may not change, and what it may.
    sa.Column("identity", sa.JSON, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("space", sa.JSON, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("finished", sa.Boolean, nullable=False, default=False),
    sa.Column("ending", sa.Text),
    # The lease: who may write. `token` fences every write of an earlier holder.
    sa.Column("token", sa.Integer, nullable=False, default=0),
    sa.Column("heartbeat", sa.BigInteger, nullable=False, default=0),
    sa.Column("holder", sa.JSON),
)

trials = sa.Table(
    "trials",
    metadata,
    _search_id(primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("family", sa.String(100), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("arm", sa.String(20), nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("config_digest", sa.String(64), nullable=False, index=True),
    sa.Column("complexity", sa.JSON, nullable=False),
    sa.Column("outcome", sa.String(20)),
    sa.Column("reason", sa.Text),
    sa.Column("rung_epochs", sa.Integer),
    sa.Column("shadow_rung_epochs", sa.Integer),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_ms", sa.BigInteger),
)

attempts = sa.Table(
    "attempts",
    metadata,
    _search_id(primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("ended", sa.String(20)),
    sa.Column("reason", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

epochs = sa.Table(
    "epochs",
    metadata,
    # The order in which epochs of different trials were recorded.
    sa.Column("sequence", sa.Integer, primary_key=True),
    _search_id(),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    # The value of the search's objective, whatever that is: the name is release 0.1.0's.
    sa.Column("val_accuracy", sa.Float, key="value"),
    sa.Column("checkpoint", sa.Text),
    sa.Column("checksum", sa.String(64)),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("search_id", "number", "epoch"),
    sqlite_autoincrement=True,
)

refused = sa.Table(
    "refused",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _search_id(),
    sa.Column("before_number", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("arm", sa.String(20), nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _search_id(),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("number", sa.Integer),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Index("ix_outbox_order", "search_id", "id"),
    sqlite_autoincrement=True,
)

# A search may be delivered to several tracking stores; each has its own mark in the outbox.
deliveries = sa.Table(
    "deliveries",
    metadata,
    _search_id(primary_key=True),
    sa.Column("destination", sa.String(300), primary_key=True),
    # Numbers the destinations in the order in which drivers began to use them.
    sa.Column("used", sa.Integer, nullable=False),
    # All messages up to `through` have arrived, and those of the list `ahead` beyond it.
    sa.Column("through", sa.Integer, nullable=False),
    sa.Column("ahead", sa.JSON, nullable=False),
)

# Messages that a destination will never take.
parked = sa.Table(
    "parked",
    metadata,
    _search_id(primary_key=True),
    sa.Column("destination", sa.String(300), primary_key=True),
    sa.Column("message_id", sa.Integer, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
)

tracking_ids = sa.Table(
    "tracking_ids",
    metadata,
    _search_id(primary_key=True),
    # The same search may be delivered to several tracking servers.
    sa.Column("server", sa.String(300), primary_key=True),
    sa.Column("key", sa.String(100), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _search_id(),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("handled", sa.Boolean, nullable=False, default=False),
)

test_readings = sa.Table(
    "test_readings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _search_id(),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("checksum", sa.String(64), nullable=False),
    sa.Column("data_digest", sa.String(64), nullable=False),
    sa.Column("accuracy", sa.Float, nullable=False),
    # One byte string of little-endian predictions, in the order of the test split.
    sa.Column("predictions", sa.LargeBinary, nullable=False),
    sa.Column("forced", sa.Boolean, nullable=False, default=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    # The width of one prediction: 4 (all that 0.1 wrote) or 8.
    sa.Column("prediction_bytes", sa.Integer, nullable=False, server_default=sa.text("4")),
    sa.Index(
        "ix_test_readings_first",
        "search_id",
        "number",
        "checksum",
        "data_digest",
        unique=True,
        sqlite_where=sa.text("NOT forced"),
        postgresql_where=sa.text("NOT forced"),
    ),
)


def lock_search(connection: sa.Connection, search_id: int) -> None:
    """Let other transactions that write of this search wait; on SQLite all that write do."""
    connection.execute(
        sa.select(searches.c.id).where(searches.c.id == search_id).with_for_update()
    )


def make_all(connection: sa.Connection) -> None:
    """Make every table in an empty database, as the newest revision has it."""
    metadata.create_all(connection)
    stamp(connection, REVISION)


def stamp(connection: sa.Connection, revision: str) -> None:
    """Write down which revision the tables have now."""
    schema_revision.create(connection, checkfirst=True)
    for table in (versions, schema_revision):
        connection.execute(table.delete())
    connection.execute(versions.insert().values(version=REVISIONS.index(revision) + 1))
    connection.execute(schema_revision.insert().values(version_num=revision))
