"""The chain of revisions that brings a record of any earlier release to today's tables.

How to add a migration:

1. Change `archsearch.record.tables`, and append the revision's name to `REVISIONS` there.
   A name is `v`, the release line that will ship it, and what it does: `v0_2_first_readings`;
   at most 32 characters. A program that does not know it names that line to its user.
2. Add `versions/NAME.py` with `revision`, `down_revision` (the last one before) and `upgrade()`.
   Write tables and columns out: `tables` moves on, a revision that was released never changes.
3. SQLite adds columns, tables and indexes in place. It alters or drops a column by
   `with op.batch_alter_table(...)`, which copies the table; foreign keys are off meanwhile and
   checked before the commit. Everything runs in one transaction on both databases.
4. Never touch `versions`, or the columns of the lease (`searches.id`, `name`, `token`,
   `heartbeat`, `holder`): whoever migrates takes the leases of the record as it was.
5. `tests/contracts/test_migrations.py` compares the chain with `tables` on both databases, and
   `tests/contracts/test_stored_searches.py` continues a search of every schema. A release adds
   the record of a small search of its own to `tests/data/searches`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from archsearch.record import tables


def chain() -> tuple[str, ...]:
    """The revisions' names, first to last."""
    return tuple(script.revision for script in _scripts().walk_revisions())[::-1]


def upgrade(connection: Connection, present: str | None, target: str = tables.REVISION) -> None:
    """Bring the record from one revision to a later one, in the transaction that is open.

    Args:
        connection: Of a transaction that keeps all of it or nothing; on SQLite foreign keys are
            off.
        present: The revision that the record has; None for an empty database.
        target: The revision that it gets.
    """
    missing = list(_scripts().iterate_revisions(target, present or "base"))[::-1]
    with _quiet(), Operations.context(context_of(connection)):
        for script in missing:
            script.module.upgrade()
    tables.stamp(connection, target)


def context_of(connection: Connection, **options: Any) -> MigrationContext:
    """Alembic's view of a record: nothing is configured by files or by the environment."""
    return MigrationContext.configure(
        connection,
        opts={
            "version_table": tables.schema_revision.name,
            "transactional_ddl": True,
            **options,
        },
    )


def _scripts() -> ScriptDirectory:
    folder = Path(__file__).parent
    return ScriptDirectory(folder, version_locations=[folder / "versions"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Alembic says what it does at level INFO, which a user's logging may show."""
    logger = logging.getLogger("alembic")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
