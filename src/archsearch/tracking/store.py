"""Where tracking lives: one default store for all searches, or what a URI names."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import sqlalchemy as sa

from archsearch.errors import UnfitError, UsageError
from archsearch.record.deliveries import OWN_STORE
from archsearch.record.paths import RunsFolder
from archsearch.record.trial import SearchRow
from archsearch.redaction import redact, shown_address
from archsearch.sqlite_files import sqlite_uri
from archsearch.tracking.mlflow_import import new_sqlite_store
from archsearch.tracking.upkeep import follow_folder, migrate_store

DATABASE_BACKENDS = ("postgresql", "mysql", "mssql")
_ALLOWED = (
    "give `http://HOST:PORT` of a tracking server, `sqlite:///FILE`, or a database such as "
    "`postgresql+psycopg://USER@HOST/DATABASE`"
)


@dataclass(frozen=True)
class TrackingStore:
    """A tracking store, and how to speak of it.

    Attributes:
        uri: What MLflow is given; may hold a password, so it is never shown.
        label: The same for people and for the record, without secrets.
        key: Names the store in the record; the default store's stays when its folder moves.
        artifacts: Where we put the files of runs; None when a server decides.
        sqlite: The file of an SQLite store.
    """

    uri: str = field(repr=False)
    label: str
    key: str
    artifacts: Path | None = None
    sqlite: Path | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is reached over HTTP."""
        return self.artifacts is None

    @property
    def has_user(self) -> bool:
        """Whether the URI of a server names who signs in, which is not shown."""
        return self.is_server and self.uri != self.label

    @property
    def shown_uri(self) -> str:
        """The URI for people to paste, without secrets."""
        return self.uri if self.sqlite is not None else self.label

    @property
    def recorded(self) -> str | None:
        """What a search writes down to find the store again; None for the default store."""
        return None if self.key == OWN_STORE else self.label

    @property
    def can_take_files(self) -> bool:
        """Whether the folder of artifacts is there and writable now, where it is ours to write."""
        folder = self.artifacts
        return folder is None or (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK))

    def prepare(self) -> None:
        """Make an SQLite store that is not there yet, or see that a database answers.

        The runs folder's own store is migrated, after a copy, when MLflow was upgraded, and
        follows its folder when that was moved.

        At any time, from any process.

        Raises:
            UnfitError: Its folder cannot be written, or the file is another one's or of another
                MLflow; or the database does not let us in.
        """
        if self.sqlite is None:
            if not self.is_server:
                _check_database(self)
            return
        try:
            self.sqlite.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.sqlite.with_name(f".{self.sqlite.name}.lock")):
                if not self.sqlite.exists():
                    self._create(self.sqlite)
                _check_sqlite(self.sqlite)
                migrate_store(self.sqlite, self.label, is_own=self.key == OWN_STORE)
                if self.key == OWN_STORE and self.artifacts is not None:
                    follow_folder(self.sqlite, self.artifacts)
        except (OSError, sqlite3.DatabaseError, sa.exc.DBAPIError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "orig", error)
            raise UnfitError(
                f"the tracking store {self.sqlite} cannot be used ({reason}): choose a writable "
                "folder with free space by --runs-dir, or another store by --tracking-uri"
            ) from error

    def _create(self, path: Path) -> None:
        """Two processes that open one new store crash in its migrations: open it here alone.

        The file gets its name last, so a process killed during the migrations leaves no store
        that is half made.
        """
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)  # of a process that was killed here
        try:
            new_sqlite_store(temporary, self.artifacts or path.parent / "artifacts")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def artifact_location(self, experiment: str) -> str | None:
        """Where an experiment's files go; None lets the server decide.

        MLflow's own choice for a store without a server is the folder a command was called in.
        """
        if self.artifacts is None:
            return None
        folder = re.sub(r"[^A-Za-z0-9._-]+", "-", experiment).strip(".-") or "experiment"
        return (self.artifacts / folder).as_uri()


def _check_sqlite(path: Path) -> None:
    """Raise `sqlite3.DatabaseError` for what is no SQLite database.

    Asked of SQLite itself: when a process closes any descriptor of a file, POSIX drops all its
    locks on it, and a connection that is open elsewhere in the process would go on without.
    """
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        connection.execute("PRAGMA schema_version")


def _check_database(store: TrackingStore) -> None:
    """Connect once: MLflow tries ten times, for 100 seconds, a wrong password too.

    Raises:
        UnfitError: It cannot be reached, or does not let us in.
    """
    engine = sa.create_engine(store.uri, poolclass=sa.NullPool)
    try:
        engine.connect().close()
    except sa.exc.DBAPIError as error:
        line = redact(" ".join(str(error.orig).split()))[:200]
        raise UnfitError(
            f"{line}; see that the database at {store.label} runs, and that user name and "
            "password are right"
        ) from error


def tracking_store(runs: RunsFolder, uri: str | None = None) -> TrackingStore:
    """The store that a tracking URI names; without one, the default store of all searches.

    Raises:
        UsageError: The URI cannot be used; the message does not repeat its secrets.
    """
    own = _own_store(runs)
    if not uri:
        return own
    label = redact(uri)
    if "%00" in uri or re.search(r"[\0\ud800-\udfff]", uri):
        raise UsageError(f"--tracking-uri {label!r}: nothing has such a name; {_ALLOWED}")
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    if scheme in ("http", "https"):
        uri = _checked_http(uri)
        # Who signs in is no part of where it is: it may be said in the environment next time.
        place = shown_address(uri)
        return TrackingStore(uri=uri, label=place, key=place[:300])
    backend = scheme.partition("+")[0]
    if backend == "sqlite":
        store = _sqlite_store(uri, label)
        return own if store.sqlite == own.sqlite else store
    if backend in DATABASE_BACKENDS:
        _check_driver(uri, label)
        artifacts = runs.mlflow.resolve() / "artifacts"
        return TrackingStore(uri=uri, label=label, key=label[:300], artifacts=artifacts)
    raise UsageError(f"--tracking-uri {label}: MLflow keeps no runs there; {_ALLOWED}")


def _own_store(runs: RunsFolder) -> TrackingStore:
    folder = runs.mlflow.resolve()
    database = folder / "mlflow.db"
    return TrackingStore(
        uri=sqlite_uri(database),
        label=str(runs.mlflow),
        key=OWN_STORE,
        artifacts=folder / "artifacts",
        sqlite=database,
    )


def tracking_uri_of(search: SearchRow, given: str | None) -> str | None:
    """The tracking URI that was given, or else the one that the search was started with.

    Raises:
        UsageError: The record knows it without its secrets only.
    """
    if given is not None:
        return given
    recorded: str | None = search.settings.tracking_uri
    if recorded is not None and "***" in recorded:
        raise UsageError(
            f"the search {search.name!r} was tracked at {recorded}, whose secrets are not "
            "recorded: give --tracking-uri"
        )
    return recorded


def _checked_http(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"--tracking-uri {redact(uri)}: there is no usable host and port; {_ALLOWED}"
        )
    return uri.rstrip("/")


def _sqlite_store(uri: str, label: str) -> TrackingStore:
    name = None
    with contextlib.suppress(sa.exc.ArgumentError, ValueError):
        parsed = sa.make_url(uri)
        name = None if parsed.host or parsed.query else parsed.database
    if name in (None, "", ":memory:"):
        raise UsageError(
            f"--tracking-uri {label}: an SQLite store is a file, `sqlite:///FILE` (three slashes "
            "before a relative path, four before an absolute one; `?` in a path is `%3F`, `%` "
            "is `%25`)"
        )
    path = Path(name).resolve()
    return TrackingStore(
        uri=sqlite_uri(path),
        label=label,
        key=sqlite_uri(path)[:300],
        artifacts=path.parent / "artifacts",
        sqlite=path,
    )


def _check_driver(uri: str, label: str) -> None:
    try:
        sa.make_url(uri).get_dialect().import_dbapi()
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port
        raise UsageError(f"--tracking-uri {label} cannot be read as a URL; {_ALLOWED}") from None
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--tracking-uri {label} needs the Python package `{error.name}`: "
            f"pip install {error.name}"
        ) from None
