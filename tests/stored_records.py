"""The records of earlier releases, as they are kept for tests, in a file or on a server."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from archsearch.record import migrations, tables
from archsearch.record.database import Database

STORED = sorted((Path(__file__).parent / "data" / "searches").iterdir())
"""A folder a release: `record.sql` of a small search, and `space.yaml`."""


def put_stored(stored: Path, place: Path | str, *, revision: str | None = None) -> None:
    """Put a stored record where nothing is yet, perhaps migrated to a later revision."""
    if isinstance(place, Path):
        with contextlib.closing(sqlite3.connect(place)) as connection:
            connection.executescript((stored / "record.sql").read_text())
    else:
        _put_on_server(stored, place)
    if revision is not None:
        with engine_of(place).begin() as opened:
            migrations.upgrade(opened, tables.REVISIONS[0], revision)


def engine_of(place: Path | str) -> sa.Engine:
    """A plain engine, that keeps nothing open, for what a record would not let do."""
    url = sa.URL.create("sqlite", database=str(place)) if isinstance(place, Path) else place
    return sa.create_engine(url, poolclass=sa.NullPool)


def revision_of(place: Path | str) -> str | None:
    """What a record says of its tables; None for 0.1's, which says nothing."""
    with engine_of(place).connect() as connection:
        if not sa.inspect(connection).has_table("schema_revision"):
            return None
        return connection.scalar(sa.select(tables.schema_revision.c.version_num))


def rows_of(place: Path | str) -> dict[str, list[tuple[object, ...]]]:
    """Every row, by table, as the database returns it."""
    with engine_of(place).connect() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.c[:1]))
            ]
            for table in metadata.sorted_tables
        }


def _put_on_server(stored: Path, url: str) -> None:
    with (
        sa.create_engine("sqlite://").connect() as source,
        engine_of(url).begin() as target,
    ):
        raw = source.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.executescript((stored / "record.sql").read_text())
        migrations.upgrade(target, None, tables.REVISIONS[0])
        target.execute(tables.versions.delete())
        target.execute(sa.schema.DropTable(tables.schema_revision))
        metadata = sa.MetaData()
        metadata.reflect(source)
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in source.execute(sa.select(table)).mappings()]
            if rows:
                target.execute(table.insert(), rows)
            for key in ("id", "sequence"):
                if key in table.c:
                    target.exec_driver_sql(
                        f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key}'), "
                        f"GREATEST((SELECT MAX({key}) FROM {table.name}), 1))"
                    )


def open_to_write(place: Path | str) -> Database:
    """As a driver opens it."""
    return Database.open(place, create=True)
