"""An empty record in a file, and one on a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.record.cells import SearchIdentity
from archsearch.record.database import Database
from archsearch.record.settings import SearchSettings
from archsearch.record.writer import create_search
from tests.tracking_support import IDENTITY, SETTINGS


@pytest.fixture
def database(record_place: Path | str) -> Iterator[Database]:
    """A new record, open."""
    database = Database.open(record_place, create=True)
    yield database
    database.close()


@pytest.fixture
def other(record_place: Path | str, database: Database) -> Iterator[Database]:
    """The same record, as another process has it open."""
    other = Database.open(record_place, create=False)
    yield other
    other.close()


@pytest.fixture
def search_id(database: Database) -> int:
    """A search in that record."""
    identity = SearchIdentity.model_validate(IDENTITY)
    settings = SearchSettings.model_validate(SETTINGS)
    return create_search(database, "one", identity=identity, settings=settings, space={}).id
