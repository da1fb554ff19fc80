"""Connections to a record: SQLite in a file, or PostgreSQL by URL."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from archsearch.errors import UnfitError, UsageError
from archsearch.record import failures

_NETWORK_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Seconds, and milliseconds for the last: a host that has vanished sends no refusal, and the
system's own patience is minutes to hours. What a URL says counts before these."""

_ISOLATION = "READ COMMITTED"
"""What transactions that write rely on, whatever a server's default is: a statement sees what
others have committed before it."""

_EXAMPLE = "`postgresql+psycopg://USER@HOST/DATABASE`"


def make_folder(folder: Path) -> None:
    """Make the folder of a record.

    Raises:
        UnfitError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnfitError(
            f"the folder {folder} cannot be made ({error.strerror}); "
            "choose a writable one by --runs-dir"
        ) from error


Mode = Literal["rwc", "rw", "look", "ro", "immutable"]
"""How SQLite opens a file: `rwc` makes one that is missing; `look` reads, and shares the log that
lies beside the file with whoever writes; `ro` does so where that log cannot be made; `immutable`
reads a file that nobody can write."""


def reading_mode(path: Path) -> Mode:
    """How a record is opened that is only read, perhaps in a folder that cannot be written."""
    if os.access(path.parent, os.W_OK):
        return "look"
    return "ro" if path.with_name(f"{path.name}-wal").exists() else "immutable"


def must_be_copied(path: Path) -> bool:
    """Whether SQLite cannot read a file where it lies.

    What was written last is in its log, and the log's index is missing: SQLite would have to make
    one in a folder that cannot be written.
    """
    return reading_mode(path) == "ro" and not path.with_name(f"{path.name}-shm").exists()


def sqlite_connection(path: Path, mode: Mode) -> sqlite3.Connection:
    """A connection that says BEGIN only where it is told to.

    Args:
        path: Of the file; any character of it means itself.
        mode: See there.
    """
    options = {"look": "mode=rw", "immutable": "immutable=1"}.get(mode, f"mode={mode}")
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=failures.BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def record_connection(path: Path, mode: Mode) -> sqlite3.Connection:
    """A connection set up as every one of a record's."""
    connection = sqlite_connection(path, mode)
    try:
        if mode in ("rw", "rwc"):
            connection.execute("PRAGMA journal_mode=WAL")
            # With WAL this survives a killed process; only a power cut can lose the last commits.
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def sqlite_engine(path: Path, mode: Mode) -> Engine:
    """An engine for a file that is there, or is made with `rwc`."""
    url = sa.URL.create("sqlite", database=str(path))
    return sa.create_engine(url, creator=lambda: record_connection(path, mode))


def parsed_url(url: str) -> sa.URL:
    """The URL of a record.

    Raises:
        UsageError: It cannot be read, or names something else than SQLite or PostgreSQL.
    """
    try:
        url.encode()
        if "%00" in url:
            raise ValueError("no server and no file system has such a name")
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            sa.create_engine(parsed)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port or of a query's values
        raise _unreadable() from None
    if backend not in ("postgresql", "sqlite"):
        raise UsageError(
            f"--database {parsed.render_as_string()}: the record lives in SQLite or PostgreSQL; "
            f"give {_EXAMPLE}"
        )
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError(
            f"--database {url}: a record outlives its process; give a file, "
            f"`sqlite:////FOLDER/FILE`, or {_EXAMPLE}"
        )
    if backend == "sqlite" and parsed.query:
        raise UsageError(
            f"--database {url}: a record in a file takes no options; leave out what follows `?`"
        )
    return parsed


def server_engine(url: sa.URL) -> Engine:
    """An engine for a server.

    Raises:
        UsageError: A value in the URL cannot be read, or its driver is not installed.
    """
    options = {k: v for k, v in _NETWORK_PATIENCE.items() if k not in url.query}
    try:
        return sa.create_engine(
            url, pool_pre_ping=True, connect_args=options, isolation_level=_ISOLATION
        )
    except (sa.exc.ArgumentError, ValueError):  # the latter of a query's values
        raise _unreadable() from None
    except ImportError as error:  # the driver, or the C library below it
        package = "psycopg[binary]" if "psycopg" in str(error) else error.name
        raise UsageError(
            f"--database needs a database driver ({error}): pip install '{package}'"
        ) from None


def _unreadable() -> UsageError:
    return UsageError(f"--database is not a URL that SQLAlchemy can read; give {_EXAMPLE}")
