"""A record to deliver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.tracking.store import TrackingStore, tracking_store
from tests.tracking_support import Recorded, new_record


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    record = new_record(tmp_path / "runs")
    yield record
    record.database.close()


@pytest.fixture
def store(tmp_path: Path) -> TrackingStore:
    """A place for messages; nothing is made there."""
    return tracking_store(RunsFolder(tmp_path / "runs"))
