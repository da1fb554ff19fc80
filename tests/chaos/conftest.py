"""One fault table for all tests of the suite, and searches that are quick to disturb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.search.request import SearchRequest
from archsearch.search.run import run_search
from archsearch.tracking.client import open_client
from archsearch.tracking.store import tracking_store
from tests.chaos.fault_table import README, FaultTable, Snapshot, snapshot
from tests.search_support import NO_TRACKING, SyntheticRunner

SPACE = """
families:
  wrn:
    depth: {choice: [10, 16]}
    widen_factor: {choice: [1, 2, 4]}
  resnext:
    depth: {choice: [20, 29]}
    cardinality: {choice: [1, 2]}
    bottleneck_width: {choice: [2, 4]}
training:
  learning_rate: {float: [0.01, 0.5], log: true}
fidelity: {max_epochs: 9, grace_period_epochs: 1, reduction_factor: 3}
baselines: [WRN-10-1]
"""

NewRequest = Callable[..., SearchRequest]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where `make chaos` asks for the table."""
    parser.addoption(
        "--write-table", action="store_true", help="write what was measured to README.md"
    )


@pytest.fixture(scope="session")
def faults(pytestconfig: pytest.Config) -> Iterator[FaultTable]:
    """Takes what was measured; written at the end if that was asked for.

    A table with holes is not written: select all tests.
    """
    table = FaultTable()
    yield table
    if pytestconfig.getoption("--write-table", default=False):
        assert not table.not_measured, f"not measured: {table.not_measured}"
        README.write_text(table.render())


@pytest.fixture
def new_request(tmp_path: Path, data_cache: Path, warm: None) -> NewRequest:
    """Makes requests of the same small search, each in a folder of its own."""
    (tmp_path / "space.yaml").write_text(SPACE)

    def make(folder: str = "runs", **fields: object) -> SearchRequest:
        runs = tmp_path / folder / "runs"
        runs.mkdir(parents=True)
        (runs / "data").symlink_to(data_cache)
        values = {"space": str(tmp_path / "space.yaml"), "trials": 10, "tracking_uri": NO_TRACKING}
        return SearchRequest(runs_dir=runs, **values | fields)

    return make


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import everything once: processes that are forked from here start at once."""
    folder = tmp_path_factory.mktemp("warm")
    open_client(tracking_store(RunsFolder(folder), NO_TRACKING))


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, data_cache: Path, warm: None
) -> Snapshot:
    """The same small search, left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "space.yaml").write_text(SPACE)
    runs = folder / "runs"
    runs.mkdir()
    (runs / "data").symlink_to(data_cache)
    request = SearchRequest(
        space=str(folder / "space.yaml"), trials=10, runs_dir=runs, tracking_uri=NO_TRACKING
    )
    run_search(request, run_trials=SyntheticRunner())
    return snapshot(runs)
