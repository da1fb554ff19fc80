"""Opens MLflow's client, quiet and impatient, and reads its errors.

Importing MLflow takes seconds, so it is imported when the first function here is called.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from packaging.version import InvalidVersion, Version

from archsearch.addresses import without_proxy_for_loopback
from archsearch.errors import UnfitError
from archsearch.redaction import redact
from archsearch.tracking.mlflow_import import (
    FOREGROUND_TIMEOUT_SECONDS,
    configure,
    import_quietly,
)
from archsearch.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient


class UnknownRunError(Exception):
    """A message speaks of a run that the server was never told of."""


FIRST_WITH_MODELS = Version("3.0")
"""The first MLflow whose servers have logged models; earlier ones take runs."""

# Sent again, these would be refused again. Everything else is taken for temporary, wrong
# passwords included: nothing is lost by keeping a message until somebody corrects the password.
_REFUSALS = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "BAD_REQUEST",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "INVALID_STATE",
    }
)
# Artifacts are written by this process where the store has no server in front: a file that it may
# not read, it may not read again. While the folder of all artifacts is away, that is the trouble.
_REFUSED_FILES = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError)

# A message that cannot be put into MLflow's words, whatever the server is.
_UNSENDABLE = (UnknownRunError, KeyError, ValueError)

# Other errors of a store's own database are its trouble, not the message's.
_REFUSED_ROWS = (sa.exc.IntegrityError, sa.exc.DataError)


def open_client(
    store: TrackingStore, timeout_seconds: int = FOREGROUND_TIMEOUT_SECONDS
) -> MlflowClient:
    """A client of that store; an SQLite store is made if need be."""
    configure(timeout_seconds)
    os.environ.update(without_proxy_for_loopback(os.environ))
    store.prepare()
    import_quietly()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


def close_client(client: MlflowClient) -> None:
    """Close the connections of a client to a database that it opens by itself.

    MLflow keeps them for all clients of one URI, and open for as long as the process lives: they
    would go on writing into a file that was removed.
    """
    private: Any = client
    for store in (private._tracking_client.store, private._get_registry_client().store):
        engine = getattr(store, "engine", None)
        if engine is not None:
            engine.dispose()


def server_version(store: TrackingStore) -> Version | None:
    """Which MLflow a tracking server runs; None where there is no server or it does not say.

    Raises:
        Exception: One of `transport_errors`: the server does not answer.
    """
    if not store.is_server:
        return None
    from mlflow.utils import credentials, rest_utils

    untyped: Any = rest_utils
    host: Any = credentials
    answer = untyped.http_request(host.get_default_host_creds(store.uri), "/version", "GET")
    try:
        return Version(answer.text.strip()) if answer.status_code == 200 else None
    except InvalidVersion:
        return None


def is_refusal(error: BaseException, store: TrackingStore) -> bool:
    """Whether the server understood and said no, so that sending again is of no use."""
    if isinstance(error, json.JSONDecodeError):
        return False  # an answer that is none of MLflow's
    if isinstance(error, _UNSENDABLE):
        return True
    if isinstance(error, _REFUSED_FILES):
        return store.can_take_files
    if isinstance(error.__cause__, sa.exc.DatabaseError) and not isinstance(
        error.__cause__, _REFUSED_ROWS
    ):
        return False  # MLflow calls a damaged or unreachable database a bad request
    return getattr(error, "error_code", None) in _REFUSALS


def is_missing(error: BaseException) -> bool:
    """Whether the server says that the thing does not exist."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


def transport_errors() -> tuple[type[Exception], ...]:
    """What calls to a store raise: MLflow's own errors, and those of files sent over HTTP."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    return (MlflowException, RequestException)


_MEANINGS = {
    r"Connection refused": "connection refused",
    r"Read timed out": "it accepts connections but does not answer",
    r"timed out": "no answer in time",
    r"Name or service not known": "its host name is not known",
    r"Temporary failure in name resolution": "its host name cannot be looked up",
    r"error code 401\b|\b401 Client Error": "it was given no user name and password, or wrong "
    "ones: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or correct those in the "
    "URL, which come first",
    r"Invalid Host header": "it does not answer to this host name: start it with --allowed-hosts",
    r"error code 403\b|\b403 Client Error": "its user may not do this: ask whoever "
    "runs the server for the permission EDIT on the experiment and on the registered model",
}
"""By what MLflow's errors and those below it say."""


def sentence(error: BaseException) -> str:
    """What went wrong, in one short line without secrets."""
    if isinstance(error, UnfitError):
        return str(error)
    text = redact(str(error) or type(error).__name__)
    for sign, meaning in _MEANINGS.items():
        if re.search(sign, text):
            return meaning
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"
