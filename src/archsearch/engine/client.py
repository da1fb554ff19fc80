"""Ray reached through its client (`ray://`), with the search's loop still in this process.

Tune notices the client and moves itself, searcher and scheduler included, into the cluster. A
search's driver holds the record and the lease, so Tune is kept here; its trials are actors of
the cluster either way. Everything else that it asks of Ray goes through the client by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FALSE_START = "Starting Ray client server failed"
_STARTS = 3
START_AGAIN_SECONDS = 1.0


def join(options: dict[str, Any]) -> None:
    """`ray.init`, made again where the cluster's client server did not start.

    The head forks a server for each client while other threads of its own are busy, and some of
    them die of that at once.

    Raises:
        ConnectionError, RuntimeError, ValueError, OSError: As `ray.init`.
    """
    import ray
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

    retrying = Retrying(
        retry=retry_if_exception(lambda error: _FALSE_START in str(error)),
        stop=stop_after_attempt(_STARTS),
        wait=wait_fixed(START_AGAIN_SECONDS),
        reraise=True,
    )
    retrying(ray.init, **options)


@contextlib.contextmanager
def tune_stays_here(scratch: Path) -> Iterator[None]:
    """Run Tune's loop in this process for the block, whichever way Ray is reached.

    Args:
        scratch: Where Tune may keep its files; through the client there is no Ray session here.
    """
    from ray.train._internal import storage as tune_storage
    from ray.util.client import ray as client

    stub: Any = client
    storage: Any = tune_storage
    if not stub.is_connected():
        yield
        return
    session_dir = storage._get_ray_train_session_dir
    vars(stub)["is_connected"] = lambda: False
    storage._get_ray_train_session_dir = lambda: str(scratch)
    try:
        yield
    finally:
        del vars(stub)["is_connected"]
        storage._get_ray_train_session_dir = session_dir
