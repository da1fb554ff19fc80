"""Keeps an SQLite store usable: after MLflow was upgraded, and where its folder was moved."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from archsearch.errors import UnfitError
from archsearch.record.schema import back_up
from archsearch.sqlite_files import sqlite_uri
from archsearch.tracking.mlflow_import import FOREGROUND_TIMEOUT_SECONDS, configure, import_quietly

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow writes down the absolute place of files."""


def migrate_store(path: Path, label: str, *, is_own: bool) -> None:
    """Bring a store of an earlier MLflow to the tables of the installed one, after a copy.

    Args:
        path: The store's file.
        label: How a sentence calls it.
        is_own: Whether it is the runs folder's own; one that was named by a URI may be others'
            too, and is left to its owner.

    Raises:
        UnfitError: It is of a newer MLflow, or somebody else's to migrate.
    """
    present = _schema(path)
    if present is None:
        return
    configure(FOREGROUND_TIMEOUT_SECONDS)
    import_quietly()
    from mlflow.store.db import utils

    private: Any = utils
    scripts = private.ScriptDirectory.from_config(private._get_alembic_config(""))
    if present in scripts.get_heads():
        return
    if present not in {script.revision for script in scripts.walk_revisions()}:
        raise UnfitError(
            f"the tracking store {label} was made by a newer MLflow than the installed one (its "
            f"tables are {present}): install that MLflow here"
        )
    if not is_own:
        uri = shlex.quote(sqlite_uri(path))
        raise UnfitError(
            f"the tracking store {label} is of an earlier MLflow (its tables are {present}): copy "
            f"the file, end what uses it, then `python -m mlflow db upgrade {uri}`"
        )
    back_up(path, path.with_name(f"{path.name}.{present}.backup"))
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)
    private._upgrade_db(engine)


def follow_folder(path: Path, artifacts: Path) -> None:
    """Point what MLflow wrote down of its files to where they are, if their folder was moved.

    MLflow knows each file by its absolute place, and would make the old folder again. Its
    experiment 0 tells where the folder was when the store was made or last followed.

    Args:
        path: The file of the runs folder's own store.
        artifacts: Where the store's files are now.
    """
    with _opened(path) as connection:
        query = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        row = connection.execute(query).fetchone()
        before, now = "" if row is None else str(row[0]).removesuffix("/0"), artifacts.as_uri()
        if before == now or not before.startswith("file:"):
            return
        connection.execute("BEGIN IMMEDIATE")
        for table, column in _PLACES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 -- ours
                f"WHERE substr({column}, 1, ?) = ?",
                (now, len(before) + 1, len(before) + 1, f"{before}/"),
            )
        connection.execute("COMMIT")


def _schema(path: Path) -> str | None:
    """The revision of MLflow's tables; None where there are none."""
    with _opened(path) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return None if row is None else str(row[0])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{path.as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
        connection.isolation_level = None
        yield connection
