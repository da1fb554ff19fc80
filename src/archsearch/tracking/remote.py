"""What a person should know of a tracking server on another machine before they rely on it."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from archsearch.addresses import is_loopback
from archsearch.tracking.store import TrackingStore

ANSWER_SECONDS = 3.0
_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN")


def cautions(store: TrackingStore) -> list[str]:
    """Ask a server beyond loopback whether it lets strangers in; a sentence for each weakness.

    Nothing is refused: tracking ends no search, and a server that is down is asked again later.
    """
    parts = urlsplit(store.uri)
    if not store.is_server or is_loopback(parts.hostname or ""):
        return []
    signs_in = store.has_user or any(os.environ.get(name) for name in _CREDENTIALS)
    found = []
    if signs_in and parts.scheme == "http":
        found.append(
            f"the password for {store.label} crosses the network in clear: reach the server by "
            "https://, or through a tunnel on 127.0.0.1"
        )
    if not signs_in:
        status = _status_for_a_stranger(store.uri)
        if status == 200:
            found.append(
                f"the tracking server at {store.label} lets everybody in: whoever reaches it can "
                "change runs and registered models. Start it with --app-name basic-auth, "
                "--allowed-hosts and --cors-allowed-origins"
            )
        elif status in (401, 403):
            found.append(
                f"the tracking server at {store.label} asks who signs in, and nobody is named: "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; what it misses waits "
                "in the record"
            )
    return found


def _status_for_a_stranger(uri: str) -> int | None:
    """The status of a request without credentials; None if the server does not answer."""
    url = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    request = urllib.request.Request(url)  # noqa: S310 -- `tracking_store` lets http(s) through
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 -- http(s)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError, http.client.HTTPException):  # the last: no answer of HTTP
        return None
