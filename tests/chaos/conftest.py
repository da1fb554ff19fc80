"""One fault table for all tests of the suite, and searches that are quick to disturb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import pytest

from archsearch.driver.run import run_search
from archsearch.record.paths import RunsFolder
from archsearch.search.request import SearchRequest
from archsearch.tracking.client import open_client
from archsearch.tracking.store import tracking_store
from tests.chaos.drivers import end_all
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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where `make chaos` asks for the table."""
    parser.addoption(
        "--write-table", action="store_true", help="write what was measured to README.md"
    )


@pytest.fixture(scope="session")
def faults(pytestconfig: pytest.Config) -> Iterator[FaultTable]:
    """Takes what was measured; written at the end if that was asked for.

    What other tests measured in earlier runs is kept, so the table can be made file by file; one
    with holes is not written.
    """
    table = FaultTable()
    yield table
    if pytestconfig.getoption("--write-table", default=False):
        kept = pytestconfig.rootpath / ".pytest_cache" / "chaos"
        kept.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(kept / "lock"):
            rows = kept / "rows.json"
            table.merge(json.loads(rows.read_text()) if rows.exists() else [])
            rows.write_text(json.dumps([asdict(row) for row in table.rows]))
        if table.not_measured:
            print(f"\nno table yet: not measured: {', '.join(table.not_measured)}")
        else:
            README.write_text(table.render())


TRAINING_SPACE = """
families:
  wrn: {depth: 10, widen_factor: {choice: [1, 2]}}
  resnet: {depth: 8, activation_order: {choice: [post, pre]}}
training:
  learning_rate: {float: [0.05, 0.2], log: true}
  batch_size: 32
fidelity: {max_epochs: 3, grace_period_epochs: 1, reduction_factor: 3}
"""
STEPS_PER_EPOCH = 5


@pytest.fixture(autouse=True)
def no_driver_is_left() -> Iterator[None]:
    """A test that fails may leave processes behind."""
    yield
    end_all()


@dataclass(frozen=True)
class NewRequest:
    """Makes requests of the same small search, each in a folder of its own."""

    root: Path
    data_cache: Path

    def __call__(self, folder: str = "runs", **fields: Any) -> SearchRequest:
        """A request in that folder, with these fields instead of the usual ones."""
        space = self.root / "space.yaml"
        space.write_text(SPACE)
        runs = self.root / folder / "runs"
        runs.mkdir(parents=True)
        (runs / "data").symlink_to(self.data_cache)
        values: dict[str, Any] = {
            "trials": 10, "tracking_uri": NO_TRACKING, "space": str(space), "confirm": "none",
        }  # fmt: skip
        return SearchRequest(runs_dir=runs, **values | fields)


@pytest.fixture
def new_request(tmp_path: Path, data_cache: Path, undisturbed: Snapshot) -> NewRequest:
    """Makes requests; whatever a search imports has been imported by `undisturbed`."""
    return NewRequest(tmp_path, data_cache)


@pytest.fixture
def training_request(new_request: NewRequest, tmp_path: Path) -> SearchRequest:
    """Five small trials of five steps an epoch, to be trained for real."""
    space = tmp_path / "training.yaml"
    space.write_text(TRAINING_SPACE)
    return new_request(space=str(space), trials=5, train_size=32 * STEPS_PER_EPOCH)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data_cache: Path) -> Snapshot:
    """The small search, left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    open_client(tracking_store(RunsFolder(folder), NO_TRACKING))  # imports MLflow
    request = NewRequest(folder, data_cache)()
    run_search(request, run_trials=SyntheticRunner())
    return snapshot(request.runs_dir)
