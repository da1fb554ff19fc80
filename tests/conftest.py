"""Shared by all tests: one cache of prepared data, quiet libraries."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgresql_server import Server, running_server, what_is_missing
from tests.requirements import skip_or_fail

# A deadline times the machine. All else stays as it was chosen: in CI, Hypothesis' profile for it.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Arrow files, made once for all tests."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def no_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of this process write no report, which takes a second, unless a test wants it."""
    for module in ("run", "winner"):
        loaded = sys.modules.get(f"archsearch.driver.{module}")
        if loaded is not None and request.node.get_closest_marker("reports") is None:
            monkeypatch.setattr(loaded, "write_final_report", lambda *args: [])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; skipped where there is none, but not in CI."""
    missing = what_is_missing()
    if missing is not None:
        skip_or_fail(missing)
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def record_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a record can be, and nothing is yet: a file's path, then a server's URL."""
    if request.param == "sqlite":
        return tmp_path / "search.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.new_schema(f"record_{uuid.uuid4().hex}")
