"""A test split has one first reading of a subject, and predictions may be wider than 32 bits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0_2_first_readings"
down_revision = "v0_1_tables"

# Two processes of 0.1 could both store a "first" reading. The earlier one has always counted.
_LATER_ARE_FORCED = """
UPDATE test_readings SET forced = TRUE WHERE NOT forced AND EXISTS (
  SELECT 1 FROM test_readings AS first
  WHERE first.search_id = test_readings.search_id AND first.number = test_readings.number
    AND first.checksum = test_readings.checksum AND first.data_digest = test_readings.data_digest
    AND first.id < test_readings.id
)
"""


def upgrade() -> None:
    """Mark what was read again as such, then let the database refuse another first reading."""
    op.add_column(
        "test_readings",
        sa.Column("prediction_bytes", sa.Integer, nullable=False, server_default=sa.text("4")),
    )
    op.execute(_LATER_ARE_FORCED)
    op.create_index(
        "ix_test_readings_first",
        "test_readings",
        ["search_id", "number", "checksum", "data_digest"],
        unique=True,
        sqlite_where=sa.text("NOT forced"),
        postgresql_where=sa.text("NOT forced"),
    )
