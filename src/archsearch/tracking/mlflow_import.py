"""Imports MLflow, quiet and impatient; it takes seconds, so only when something here is called."""

from __future__ import annotations

import logging
import os
import sqlite3
import warnings
from pathlib import Path
from typing import Any

from archsearch.sqlite_files import sqlite_uri

# One answer of a healthy server takes milliseconds. MLflow's own limits (120 s, 7 retries) let
# one call to a dead server block for four minutes.
BACKGROUND_TIMEOUT_SECONDS = 8
FOREGROUND_TIMEOUT_SECONDS = 60


def configure(timeout_seconds: int) -> None:
    """Set what MLflow reads from the environment; what a user has set there stays."""
    for name, value in {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_seconds),
        # The one retry is for a kept-alive connection that the server has closed meanwhile.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Two lines a run on standard output, with the URI's secrets in them.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }.items():
        os.environ.setdefault(name, value)
    # Nothing that is loaded here was pickled, and nothing pickled is loaded, whatever is set.
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"


def import_quietly() -> None:
    """MLflow and urllib3 log each retry of each call; the caller says it once, in a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def new_sqlite_store(path: Path, artifacts: Path) -> None:
    """Make an empty store in a file that nobody else has opened."""
    configure(FOREGROUND_TIMEOUT_SECONDS)
    import_quietly()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made: Any = SqlAlchemyStore  # it has no types
    made(sqlite_uri(path), artifacts.as_uri())._dispose_engine()
    with sqlite3.connect(path) as connection:
        # Kept in the file: the UI reads while a search writes.
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
