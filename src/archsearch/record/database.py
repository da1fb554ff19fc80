"""Opens the record's database: SQLite in a file, or PostgreSQL by URL."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from archsearch.errors import UnfitError
from archsearch.record import schema, tables
from archsearch.record.cells import NEWER_FORMAT
from archsearch.record.engines import (
    make_folder,
    must_be_copied,
    parsed_url,
    reading_mode,
    server_engine,
    sqlite_engine,
)
from archsearch.record.failures import DamagedRecordError as DamagedRecordError
from archsearch.record.failures import damaged, explained
from archsearch.record.opened_file import OpenedFile

Row = TypeVar("Row")
Insert = postgresql.Insert | sqlite.Insert

# Any numbers that other programs of the same server do not use.
_MAKING = 4_267_389_561
_MIGRATING = 4_267_389_562


def now_ms() -> int:
    """Milliseconds since 1970, for people and the tracking server; nothing is ordered by it."""
    return time.time_ns() // 1_000_000


def insert(connection: Connection, table: sa.Table) -> Insert:
    """An INSERT that can say what to do ON CONFLICT, which is one statement on both databases."""
    return (
        postgresql.insert(table)
        if connection.dialect.name == "postgresql"
        else (sqlite.insert(table))
    )


class Database:
    """An open record. Reading never waits for writing (SQLite in WAL mode).

    Attributes:
        label: How a sentence calls it.
        path: Of the file, unless it is on a server.
        migrated: What a person is told if opening it has changed its tables.
    """

    def __init__(
        self, engine: Engine, label: str, path: Path | None = None, *, read_only: bool = False
    ) -> None:
        self._engine = self._source = engine
        self._is_read_only = read_only
        self.label = label
        self.path = path
        self.migrated: str | None = None
        self._file: OpenedFile | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def open(cls, where: Path | str, *, create: bool, read_only: bool = False) -> Database:
        """Open the record in a file (a path) or on a server (a URL).

        A record of an earlier release is migrated in place; with `read_only` a copy of it is,
        which `close` removes.

        Args:
            where: A path means SQLite; a text is a SQLAlchemy URL such as
                `postgresql+psycopg://host/db`.
            create: Whether to make what is missing.
            read_only: Whether nothing will be written: the record is not changed in any way.

        Raises:
            UsageError: The URL cannot be read, or its driver is not installed.
            HeldError: It must be migrated, and a driver runs one of its searches.
            UnfitError: The file or server cannot be used, or a newer release has written it.
        """
        assert not (create and read_only)
        database = cls._connected(where, create=create, read_only=read_only)
        try:
            with explained(database.label):
                path = database.path
                if read_only and path is not None and must_be_copied(path):
                    database._look_at_copy()
                elif database._prepare(create=create) != tables.REVISION:
                    if read_only:
                        database._look_at_copy()
                    else:
                        database.migrated = schema.migrate(database)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def _connected(cls, where: Path | str, *, create: bool, read_only: bool) -> Database:
        label = str(where)
        if not isinstance(where, Path):
            url = parsed_url(where)
            label = url.render_as_string()
            if url.get_backend_name() != "sqlite":
                return cls(server_engine(url), label, read_only=read_only)
            where = Path(str(url.database))
        if create:
            make_folder(where.parent)
        elif not where.is_file():
            raise UnfitError(f"there is no record at {where}")
        if read_only:
            mode = reading_mode(where)
            return cls(sqlite_engine(where, mode), label, where, read_only=True)
        database = cls(sqlite_engine(where, "rw"), label, where)
        with explained(database.label):
            # Only this connection may make the file: one that is lost is not made anew.
            database._file = OpenedFile(where, create=create)
        return database

    def _prepare(self, *, create: bool) -> str:
        """The revision that the tables have; they are made if need be."""
        with self.write_alone() if create else self.read() as connection:
            revision = schema.revision_of(connection, self.label)
            if revision is None and create:
                tables.make_all(connection)
                return tables.REVISION
            if revision is None:
                raise UnfitError(
                    f"{self.label} is not a record of archsearch (it has no tables); name another "
                    "file or database"
                )
            self._check_pages(connection, thoroughly=create)
            return revision

    def renew(self) -> None:
        """See the record as it is now, where a copy of an earlier release's is looked at."""
        if self._copy is not None:
            self._close_copy()
            self._look_at_copy()

    def _look_at_copy(self) -> None:
        """Go on with a copy that has today's tables, in a temporary folder."""
        folder = tempfile.TemporaryDirectory(prefix="archsearch-record-")
        path = Path(folder.name) / "search.db"
        engine = sqlite_engine(path, "rwc")
        try:
            if self.path is not None:
                copy = schema.copy_files if must_be_copied(self.path) else schema.back_up
                copy(self.path, path)
            with Database(engine, self.label, path).migration() as connection:
                if self.path is None:
                    with self.read() as source:
                        schema.copy_rows(source, connection, self.label)
                schema.upgrade(connection, schema.revision_of(connection, self.label))
        except BaseException:
            engine.dispose()
            folder.cleanup()
            raise
        self._engine, self._copy = engine, folder

    def _close_copy(self) -> None:
        if self._copy is not None:
            self._engine.dispose()
            self._copy.cleanup()
            self._engine, self._copy = self._source, None

    def _check_pages(self, connection: Connection, *, thoroughly: bool) -> None:
        """A damaged file can look sound until the damaged page is read: a driver reads all."""
        if not thoroughly or connection.dialect.name != "sqlite":
            return
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise self.damaged(found)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the record."""
        self._check_file()
        with explained(self.label), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                # PostgreSQL's default would show each query what was written since the last one.
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it is kept, or nothing."""
        assert not self._is_read_only, "what is written to a copy would be lost"
        self._check_file()
        with explained(self.label), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock now: a transaction that reads first and writes later
                # would fail instead of waiting when another one wrote in between.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    @contextmanager
    def migration(self) -> Iterator[Connection]:
        """A transaction that may change tables and has them alone: all of it is kept, or nothing.

        SQLite's foreign keys are off, as rebuilding a table needs it, and checked at the end.
        """
        with explained(self.label), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                with connection.begin():
                    connection.exec_driver_sql("LOCK TABLE searches IN ACCESS EXCLUSIVE MODE")
                    yield connection
                return
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                    raise self.damaged("a row refers to another one that is missing")
                connection.commit()
            finally:
                connection.rollback()
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """A block that one process of a server's runs at a time; a file needs no such lock."""
        if self._engine.dialect.name != "postgresql":
            yield
            return
        with explained(self.label), self._engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(_MIGRATING)))
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_MIGRATING)))

    @contextmanager
    def write_alone(self) -> Iterator[Connection]:
        """A transaction that looks whether something is there and makes it if not.

        Of several processes that do so at once, one makes it and the others see it.
        """
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
            yield connection

    def validated(
        self, form: TypeAdapter[Row], row: sa.Row[Any], who: str, **known: object
    ) -> Row:
        """A row of the record, with what is known beside it, as the type that it must be.

        Raises:
            UnfitError: It is none: the record is damaged, or a newer release has written it.
        """
        try:
            return form.validate_python(dict(row._mapping) | known)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            if first["type"] == "extra_forbidden":
                raise UnfitError(
                    f"{self.label}: this archsearch does not know {place} of {who}, which a newer "
                    "release may have written; use that one"
                ) from None
            if first["type"] == NEWER_FORMAT:
                raise UnfitError(
                    f"{self.label}: the {place} of {who} is in a format of version "
                    f"{first['ctx']['version']}, which a newer release has written; use that one"
                ) from None
            if first["type"] == NEWER_FORMAT:
                raise UnfitError(
                    f"{self.label}: the {place} of {who} is in a format of version "
                    f"{first['ctx']['version']}, which a newer release has written; use that one"
                ) from None
            raise self.damaged(f"{place} of {who} is none") from None

    def damaged(self, what: object) -> DamagedRecordError:
        """What to raise when what the record says cannot be true."""
        return damaged(self.label, what)

    def close(self) -> None:
        """Give back every connection, and remove the copy that was looked at."""
        self._close_copy()
        self._source.dispose()
        if self._file is not None:
            self._file.close()
