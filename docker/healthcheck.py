"""Health checks of the containers: exit 0 when a service can do its work, else 1 and a reason.

Standard library only, because they run every few seconds.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

SECONDS = 8.0
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy of the host's reaches a container's own loopback."""


def mlflow() -> None:
    """An experiment is read as the tracking user: the server, its users and its database work.

    `/health` says OK while the database is down.
    """
    user = os.environ["MLFLOW_TRACKING_USERNAME"]
    password = Path(os.environ["MLFLOW_TRACKING_PASSWORD_FILE"]).read_text().strip()
    signed = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(
        "http://127.0.0.1:5000/api/2.0/mlflow/experiments/search",
        json.dumps({"max_results": 1}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {signed}"},
    )
    _DIRECTLY.open(request, timeout=SECONDS).close()


def ray_head() -> None:
    """The job server and the cluster's own store answer."""
    _expect("http://127.0.0.1:8265/api/gcs_healthz", "success")


def ray_worker() -> None:
    """This node is alive, and the head knows it."""
    _expect("http://127.0.0.1:52365/api/local_raylet_healthz", "success")


def _expect(url: str, word: str) -> None:
    with _DIRECTLY.open(url, timeout=SECONDS) as answer:
        told = answer.read().decode()
    if word not in told:
        raise OSError(f"{url} told {told[:200]!r}")


_CHECKS: dict[str, Callable[[], None]] = {
    "mlflow": mlflow,
    "ray-head": ray_head,
    "ray-worker": ray_worker,
}


def main() -> None:
    """Run the check that is named."""
    if len(sys.argv) != 2 or sys.argv[1] not in _CHECKS:
        sys.exit(f"error: name one of {', '.join(_CHECKS)}")
    try:
        _CHECKS[sys.argv[1]]()
    except (OSError, KeyError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
