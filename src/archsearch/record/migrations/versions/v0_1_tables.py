"""The tables of archsearch 0.1."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0_1_tables"
down_revision = None


def _search_id(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "search_id",
        sa.Integer,
        sa.ForeignKey("searches.id"),
        primary_key=primary_key,
        nullable=False,
    )


def upgrade() -> None:
    """Make the tables that a search writes, and those that tell of it."""
    op.create_table("versions", sa.Column("version", sa.Integer, primary_key=True))
    _create_searches()
    op.create_table(
        "refused",
        sa.Column("id", sa.Integer, primary_key=True),
        _search_id(),
        sa.Column("before_number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("arm", sa.String(20), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    _create_trials()
    _create_tracking()
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        _search_id(),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("handled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "test_readings",
        sa.Column("id", sa.Integer, primary_key=True),
        _search_id(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("checksum", sa.String(64), nullable=False),
        sa.Column("data_digest", sa.String(64), nullable=False),
        sa.Column("accuracy", sa.Float, nullable=False),
        sa.Column("predictions", sa.LargeBinary, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )


def _create_searches() -> None:
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("identity", sa.JSON, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("space", sa.JSON, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("finished", sa.Boolean, nullable=False),
        sa.Column("ending", sa.Text),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("heartbeat", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.JSON),
    )


def _create_trials() -> None:
    op.create_table(
        "trials",
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
    op.create_table(
        "attempts",
        _search_id(primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("ended", sa.String(20)),
        sa.Column("reason", sa.Text),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "epochs",
        sa.Column("sequence", sa.Integer, primary_key=True),
        _search_id(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("val_accuracy", sa.Float),
        sa.Column("checkpoint", sa.Text),
        sa.Column("checksum", sa.String(64)),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("search_id", "number", "epoch"),
        sqlite_autoincrement=True,
    )


def _create_tracking() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        _search_id(),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sa.Column("parked", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_waiting", "outbox", ["search_id", "delivered", "id"])
    op.create_table(
        "tracking_ids",
        _search_id(primary_key=True),
        sa.Column("server", sa.String(300), primary_key=True),
        sa.Column("key", sa.String(100), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
