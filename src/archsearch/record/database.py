"""Opens the record's database: SQLite in a file, or PostgreSQL by URL."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from archsearch.errors import UnfitError, UsageError
from archsearch.record import tables

BUSY_SECONDS = 30.0
_NETWORK_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Seconds, and milliseconds for the last: a host that has vanished sends no refusal, and the
system's own patience is minutes to hours. What a URL says counts before these."""

_RESTORE = "restore a copy of the search's folder, or start another search by --name"
_DAMAGED = f"the record {{label}} cannot be read ({{what}}): it is damaged; {_RESTORE}"

Row = TypeVar("Row")

_MAKING = 4_267_389_561  # any number that other programs of the same server do not use


def now_ms() -> int:
    """Milliseconds since 1970, for people and the tracking server; nothing is ordered by it."""
    return time.time_ns() // 1_000_000


class DamagedRecordError(UnfitError):
    """What the record says cannot be true."""


class Database:
    """An open record. Reading never waits for writing (SQLite in WAL mode)."""

    def __init__(self, engine: Engine, label: str) -> None:
        self._engine = engine
        self.label = label

    @classmethod
    def open(cls, where: Path | str, *, create: bool) -> Database:
        """Open the record in a file (a path) or on a server (a URL).

        Args:
            where: A path means SQLite; a text is a SQLAlchemy URL such as
                `postgresql+psycopg://host/db`.
            create: Whether to make what is missing.

        Raises:
            UsageError: The URL cannot be read, or its driver is not installed.
            UnfitError: The file or server cannot be used, or holds another schema.
        """
        engine = _sqlite_engine(where, create) if isinstance(where, Path) else _url_engine(where)
        label = str(where) if isinstance(where, Path) else engine.url.render_as_string()
        database = cls(engine, label)
        with _explained(label):
            database._prepare(create=create)
        return database

    def _prepare(self, *, create: bool) -> None:
        with self.write_alone() if create else self.read() as connection:
            known = sa.inspect(connection).get_table_names()
            if create and tables.versions.name not in known and not known:
                tables.metadata.create_all(connection)
                connection.execute(tables.versions.insert().values(version=tables.SCHEMA_VERSION))
                return
            if tables.versions.name not in known:
                raise UnfitError(
                    f"{self.label} is not a record of archsearch (it has no table `versions`); "
                    "name another file or database, or move this one away"
                )
            self._check_pages(connection, thoroughly=create)
            version = connection.scalar(sa.select(sa.func.max(tables.versions.c.version)))
            if version != tables.SCHEMA_VERSION:
                raise UnfitError(
                    f"{self.label} has schema version {version}, this program reads "
                    f"{tables.SCHEMA_VERSION}; use the archsearch release that wrote it"
                )

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
        with _explained(self.label), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                # PostgreSQL's default would show each query what was written since the last one.
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it is kept, or nothing."""
        with _explained(self.label), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock now: a transaction that reads first and writes later
                # would fail instead of waiting when another one wrote in between.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def write_alone(self) -> Iterator[Connection]:
        """A transaction that looks whether something is there and makes it if not.

        Of several processes that do so at once, one makes it and the others see it.
        """
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
            yield connection

    def validated(self, form: TypeAdapter[Row], row: sa.Row[Any], who: str) -> Row:
        """A row of the record as the type that it must be.

        Raises:
            UnfitError: It is none: the record is damaged, or a newer release has written it.
        """
        try:
            return form.validate_python(dict(row._mapping))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            if first["type"] == "extra_forbidden":
                raise UnfitError(
                    f"{self.label}: this archsearch does not know {place} of {who}, which a newer "
                    "release may have written; use that one"
                ) from None
            raise self.damaged(f"{place} of {who} is none") from None

    def damaged(self, what: object) -> DamagedRecordError:
        """What to raise when what the record says cannot be true."""
        return DamagedRecordError(_DAMAGED.format(label=self.label, what=what))

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()


def _sqlite_engine(path: Path, create: bool) -> Engine:
    if not create and not path.is_file():
        raise UnfitError(f"there is no record at {path}")
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnfitError(
                f"the folder {path.parent} cannot be made ({error.strerror}); "
                "choose a writable one by --runs-dir"
            ) from error
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # `write` says BEGIN itself
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # With WAL this survives a killed process; only a power cut can lose the last commits.
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def _url_engine(url: str) -> Engine:
    try:
        url.encode()
        if "%00" in url:
            raise ValueError("no server and no file system has such a name")
        parsed = sa.make_url(url)
        if parsed.get_backend_name() not in ("postgresql", "sqlite"):
            raise UsageError(
                f"--database {parsed.render_as_string()}: the record lives in SQLite or "
                "PostgreSQL; give `postgresql+psycopg://USER@HOST/DATABASE`"
            )
        options: dict[str, int] = {}
        if parsed.get_backend_name() == "postgresql":
            options = {k: v for k, v in _NETWORK_PATIENCE.items() if k not in parsed.query}
        return sa.create_engine(parsed, pool_pre_ping=True, connect_args=options)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port or of a query's values
        raise UsageError(
            "--database is not a URL that SQLAlchemy can read; give "
            "`postgresql+psycopg://USER@HOST/DATABASE`"
        ) from None
    except ImportError as error:  # the driver, or the C library below it
        package = "psycopg[binary]" if "psycopg" in str(error) else error.name
        raise UsageError(
            f"--database needs a database driver ({error}): pip install '{package}'"
        ) from None


@contextmanager
def _explained(label: str) -> Iterator[None]:
    """Database errors as sentences; what SQLAlchemy prints would hold values and SQL."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "decode" in text or "no such" in text:
            what = "text in it is not UTF-8" if "decode" in text else text
            raise DamagedRecordError(_DAMAGED.format(label=label, what=what)) from error
        advice = "check that it can be reached and written"
        if "locked" in text:
            holder = _users_of(str(Path(label).resolve()))
            advice = (
                f"its lock has been held for {BUSY_SECONDS:.0f} s by {holder}; end that, then "
                "run the same command again"
            )
        elif "full" in text or "disk I/O" in text:
            advice = "free disk space, then run the same command again: it continues"
        raise UnfitError(f"the record {label} cannot be used ({text}): {advice}") from error
    except DBAPIError as error:
        raise DamagedRecordError(_DAMAGED.format(label=label, what=error.orig)) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DamagedRecordError(_DAMAGED.format(label=label, what=error)) from error
    except UnicodeError as error:  # a host's name that none can have
        raise UnfitError(f"the record {label} cannot be used ({error}): check the host") from error


def _users_of(path: str) -> str:
    """The other processes that have a file open, as far as this user may see them."""
    users = []
    for process in psutil.process_iter(["pid", "name"]):
        with suppress(psutil.Error):
            is_other = process.pid != os.getpid()
            if is_other and any(path == opened.path for opened in process.open_files()):
                users.append(f"process {process.pid} ({process.name()})")
    return " or ".join(users) or "another process"
