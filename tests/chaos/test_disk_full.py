"""No space left: the search stops and says so; with space again, the same command finishes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.engine.in_process import run_in_process
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search
from archsearch.search.request import SearchRequest
from archsearch.tracking.sender import deliver
from archsearch.tracking.store import tracking_store
from tests.chaos.drivers import End, start
from tests.chaos.fault_table import FaultTable, account_of, snapshot
from tests.requirements import skip_or_fail
from tests.search_support import recorded

_FULL = ("No space left", "disk is full", "disk I/O")


class SmallDisk:
    """A file system of a few MiB in memory, which can be filled and grown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def resize(self, mib: int) -> None:
        """Make it smaller or larger, whatever it holds."""
        command = ["mount", "-o", f"remount,size={mib}m", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self, *, leave: int) -> None:
        """Leave so many bytes free."""
        free = shutil.disk_usage(self.folder).free
        with self._ballast.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, free - leave)

    def free(self) -> None:
        """Undo `fill`."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path, faults: FaultTable) -> Iterator[SmallDisk]:
    """Mounted for the test; skipped where this user may not mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-o", "size=8m", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
        refusal = mounted.stderr if mounted.returncode else ""
    except OSError as error:
        refusal = str(error)
    if refusal:
        faults.skip("disk-full", f"a small disk cannot be mounted: {refusal.strip()}")
        skip_or_fail(faults.skipped["disk-full"])
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@pytest.fixture
def disk_request(training_request: SearchRequest, disk: SmallDisk) -> SearchRequest:
    """The trained search with its run folder on the small disk, the data elsewhere."""
    runs = disk.folder / "runs"
    runs.mkdir()
    (runs / "data").symlink_to((training_request.runs_dir / "data").resolve())
    return training_request.model_copy(update={"runs_dir": runs})


def names_the_cause(end: End, disk: SmallDisk) -> bool:
    """What is full, and where."""
    return (
        end.code == 3
        and any(text in end.told for text in _FULL)
        and str(disk.folder) in end.told
        and "same command again" in end.told
    )


def test_a_full_run_folder_stops_the_search_and_with_space_it_finishes(
    training_request: SearchRequest,
    disk_request: SearchRequest,
    disk: SmallDisk,
    faults: FaultTable,
) -> None:
    calm = start(training_request, run_in_process).wait()
    assert calm.code == 0, calm.told
    undisturbed = snapshot(training_request.runs_dir)
    stops, before = [], []
    # A little more room each time, from none at all: it fills up somewhere else each time.
    disk.fill(leave=0)
    for mib in (10, 14, 20, 64):
        end = start(disk_request, run_in_process).wait()
        stops.append(end)
        with contextlib.suppress(Exception):
            before.append(snapshot(disk_request.runs_dir))
        disk.resize(mib)
    end = start(disk_request, run_in_process).wait()
    assert end.code == 0, end.told
    assert all(names_the_cause(end, disk) for end in stops), [end.told for end in stops]
    now = snapshot(disk_request.runs_dir)
    assert now.recorded.table == undisturbed.recorded.table
    account = account_of(before, now)
    assert (account.lost, account.doubled) == (0, 0)
    faults.add(
        "disk-full",
        "the run folder, again and again with a little more space",
        len(stops),
        "exit 3, the cause named; the undisturbed table at the end",
        account,
    )


def test_a_full_data_cache_is_told_before_any_trial_and_with_space_the_search_finishes(
    disk_request: SearchRequest, disk: SmallDisk, faults: FaultTable
) -> None:
    (disk_request.runs_dir / "data").unlink()
    request = disk_request.model_copy(update={"trials": 1})
    disk.resize(32)
    disk.fill(leave=20_000)
    end = start(request, run_in_process).wait()
    assert end.code == 3, end.told
    assert str(disk.folder) in end.told
    assert not list(request.runs_dir.glob("*/trials/*"))
    disk.free()
    assert start(request, run_in_process).wait().code == 0
    faults.add("disk-full", "the data cache", 1, "exit 3 before any trial; then it finished")


@pytest.mark.slow
@pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")  # MLflow's own
def test_a_full_tracking_store_costs_a_warning_and_gets_all_later(
    training_request: SearchRequest, disk: SmallDisk, faults: FaultTable
) -> None:
    uri = f"sqlite:///{disk.folder}/mlflow.db"
    request = training_request.model_copy(update={"trials": 2, "tracking_uri": uri})
    disk.fill(leave=0)
    end = start(request, run_in_process).wait()
    assert end.code == 0, end.told
    assert len(end.warnings) == 2  # it fails; so many messages wait
    disk.free()
    now = recorded(request.runs_dir)
    database = Database.open(now.paths.database, create=False)
    try:
        search = get_search(database, now.paths.name)
        store = tracking_store(RunsFolder(request.runs_dir), uri)
        sent = deliver(database, search.id, store)
        assert sent.parked == []
        assert Deliveries(database, search.id, store.key).count_waiting() == 0
    finally:
        database.close()
    faults.add(
        "disk-full",
        "the tracking store",
        1,
        f"the search finished with one warning; {sent.sent} messages delivered later",
    )
