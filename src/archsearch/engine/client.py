"""`ray.init`, repeated where Ray's client (`ray://`) needs it."""

from __future__ import annotations

from typing import Any

from archsearch.engine.ray_private import CLIENT_SERVER_DID_NOT_START

_STARTS = 3
START_AGAIN_SECONDS = 1.0


def join(options: dict[str, Any]) -> None:
    """Call `ray.init`; call it again where the cluster's client server did not start.

    The head forks a server for each client while other threads of its own are busy, and some of
    these servers die of that at once.

    Raises:
        ConnectionError, RuntimeError, ValueError, OSError: As `ray.init`.
    """
    import ray
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

    retrying = Retrying(
        retry=retry_if_exception(lambda error: CLIENT_SERVER_DID_NOT_START in str(error)),
        stop=stop_after_attempt(_STARTS),
        wait=wait_fixed(START_AGAIN_SECONDS),
        reraise=True,
    )
    retrying(ray.init, **options)
