"""Which tables a record has, and how an earlier release's become today's."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from archsearch.errors import UnfitError
from archsearch.record import lease, tables
from archsearch.record.engines import reading_mode, sqlite_connection

if TYPE_CHECKING:
    from archsearch.record.database import Database


def revision_of(connection: Connection, label: str) -> str | None:
    """The revision of a record's tables; None where there are no tables at all.

    Args:
        connection: Of a database.
        label: How a sentence calls it.

    Raises:
        UnfitError: The tables are no record's, or a newer release has made them.
    """
    known = sa.inspect(connection).get_table_names()
    if not known:
        return None
    if tables.versions.name not in known:
        raise UnfitError(
            f"{label} is not a record of archsearch (it has no table `versions`); "
            "name another file or database, or move this one away"
        )
    version = connection.scalar(sa.select(sa.func.max(tables.versions.c.version)))
    named = None
    if tables.schema_revision.name in known:
        named = connection.scalar(sa.select(tables.schema_revision.c.version_num))
    elif version == 1:
        named = tables.REVISIONS[0]
    if named in tables.REVISIONS and version == tables.REVISIONS.index(named) + 1:
        return str(named)
    line = None if named in tables.REVISIONS else release_line(str(named))
    raise UnfitError(
        f"{label} has schema version {version}"
        + (f" ({named}), which archsearch {line} wrote" if line else "")
        + f"; this release knows none after {len(tables.REVISIONS)} ({tables.REVISION}): use the "
        "release that wrote it or a newer one, or start another search by --name"
    )


def release_line(revision: str) -> str | None:
    """The line of releases that made a revision, such as `0.2`; None where its name tells none."""
    found = re.match(r"v(\d+)_(\d+)_", revision)
    return ".".join(found.groups()) if found else None


def migrate(database: Database) -> str | None:
    """Bring a record to today's tables, in place; what a person is told, None if it was there.

    Nobody writes meanwhile: the leases of all its searches are taken first. A record in a file
    is copied beside it before. Whoever is killed here leaves the record as it was.

    Raises:
        HeldError: A driver runs one of its searches.
        UnfitError: The record cannot be written, or the disk is full.
    """
    with database.one_at_a_time():
        with database.read() as connection:
            present = revision_of(connection, database.label)
            if present is None or present == tables.REVISION:
                return None
            columns = (tables.searches.c.id, tables.searches.c.name)
            names = {row.id: row.name for row in connection.execute(sa.select(*columns))}
        with _leases(database, names, tables.REVISIONS.index(present) + 1) as tokens:
            copy = _migrate(database, present, tokens)
    told = f"a copy of what it was: {copy}" if copy else "see docs/records.md on its backup"
    return (
        f"The record {database.label} has been migrated from the tables of archsearch "
        f"{release_line(present)} to those of {release_line(tables.REVISION)}; {told}."
    )


def _migrate(database: Database, present: str, tokens: dict[int, int]) -> Path | None:
    """Make the copy and the new tables in one transaction; where the copy is."""
    copy = None
    with database.migration() as connection:
        for search_id, token in tokens.items():
            lease.check(connection, search_id, token)
        held = sa.select(tables.searches.c.name).where(
            tables.searches.c.holder.is_not(None), tables.searches.c.id.not_in(tokens)
        )
        if name := connection.scalar(held.limit(1)):
            raise _held(database, str(name), "another driver has begun to run it")
        if database.path is not None:
            copy = database.path.with_name(f"{database.path.name}.{present}.backup")
            back_up(database.path, copy)
        upgrade(connection, present)
    return copy


@contextlib.contextmanager
def _leases(database: Database, names: dict[int, str], version: int) -> Iterator[dict[int, int]]:
    """Hold every search's lease for the block; their tokens, by the searches' ids."""
    tokens: dict[int, int] = {}
    try:
        for search_id, name in names.items():
            try:
                tokens[search_id] = lease.acquire(database, search_id, version=version)
            except lease.HeldError as error:
                raise _held(database, name, str(error)) from None
        yield tokens
    finally:
        for search_id, token in tokens.items():
            lease.release(database, search_id, token)


def _held(database: Database, name: str, why: str) -> lease.HeldError:
    return lease.HeldError(
        f"the record {database.label} has the tables of an earlier archsearch and must be "
        f"migrated, but its search {name!r} cannot be touched: {why}"
    )


def upgrade(connection: Connection, present: str | None, target: str = tables.REVISION) -> None:
    """See `migrations.upgrade`; Alembic takes a while to load, and is rarely needed."""
    from archsearch.record import migrations

    migrations.upgrade(connection, present, target)


def back_up(source: Path, copy: Path) -> None:
    """Copy a record as it is now, whoever has it open, to a file that is whole or not there.

    Raises:
        sqlite3.Error: It cannot be read.
        UnfitError: The copy cannot be written.
    """
    temporary = copy.with_name(f".{copy.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed here
        with (
            contextlib.closing(sqlite_connection(source, reading_mode(source))) as reader,
            contextlib.closing(sqlite_connection(temporary, "rwc")) as writer,
        ):
            reader.backup(writer)
            writer.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(copy)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UnfitError(
                f"the copy {copy} of the record cannot be written ({error.strerror})"
            ) from None
        raise


def copy_files(source: Path, copy: Path) -> None:
    """Copy a record with its log where SQLite cannot read it, as `must_be_copied` says.

    Opening the file drops the locks that this process has on it; in a folder that cannot be
    written it has none that matter.
    """
    for end in ("", "-wal"):
        shutil.copyfile(source.with_name(source.name + end), copy.with_name(copy.name + end))


def copy_rows(source: Connection, target: Connection, label: str) -> None:
    """Copy a record from a server into an empty database, with the tables that it has there."""
    upgrade(target, None, str(revision_of(source, label)))
    copied = sa.MetaData()
    copied.reflect(target)
    for table in copied.sorted_tables:
        if table.name in (tables.versions.name, tables.schema_revision.name):
            continue
        for rows in source.execute(sa.select(table)).mappings().partitions(1000):
            target.execute(table.insert(), [dict(row) for row in rows])
