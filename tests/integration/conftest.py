"""What integration tests share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.tracking.store import TrackingStore, tracking_store
from tests.cli_support import shared_environment


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingStore:
    """One tracking store for all tests: making one takes seconds. Searches do not meet in it."""
    store = tracking_store(RunsFolder(tmp_path_factory.mktemp("tracking")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of its migrations
        store.prepare()
    return store


@pytest.fixture(scope="module", autouse=True)
def one_store_for_all_commands(store: TrackingStore) -> Iterator[None]:
    """Searches of these tests share a tracking store too; their own would take seconds each."""
    shared_environment["MLFLOW_TRACKING_URI"] = store.uri
    yield
    shared_environment.clear()
