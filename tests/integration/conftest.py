"""What integration tests share."""

from __future__ import annotations

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.tracking.store import TrackingStore, tracking_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingStore:
    """One tracking store for all tests: making one takes seconds. Searches do not meet in it."""
    store = tracking_store(RunsFolder(tmp_path_factory.mktemp("tracking")))
    store.prepare()
    return store
