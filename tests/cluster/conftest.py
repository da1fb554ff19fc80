"""One stack for all tests of the cluster."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.stack import Stack, why_not_here
from tests.requirements import skip_or_fail


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """All services, healthy; skipped where they cannot be started, but never in CI."""
    reason = why_not_here()
    if reason is not None:
        skip_or_fail(reason)
    with tempfile.TemporaryDirectory(prefix="archsearch-cluster-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the containers' users come by
        variables = {"RAY_WORKER_CPUS": "1", "MLFLOW_WORKERS": "1"}
        started = time.monotonic()
        with Stack(folder, variables) as stack:
            stack.up("cpu", scale={"ray-worker": 2})
            print(f"the stack was up in {time.monotonic() - started:.0f} s")
            yield stack
