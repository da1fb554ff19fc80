"""A search leaves its report, and nothing that goes wrong with it hurts the search."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from archsearch.driver.run import run_search
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import SearchEnded
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search
from archsearch.report import write as report_module
from archsearch.report.write import WrittenReport, watch_report
from archsearch.search.assignment import Assignment
from archsearch.search.events import Event, WarningNotice
from archsearch.search.request import SearchRequest
from tests.cli_support import call_here
from tests.search_support import NO_TRACKING, SyntheticRunner, learning_curve


@pytest.fixture
def request_of_two(tmp_path: Path, data_cache: Path) -> SearchRequest:
    runs_dir = tmp_path / "runs"
    runs_dir.mkdir()
    (runs_dir / "data").symlink_to(data_cache)
    return SearchRequest(
        space="smoke",
        trials=2,
        confirm="none",
        name="first",
        runs_dir=runs_dir,
        tracking_uri=NO_TRACKING,
    )


def last_message(request: SearchRequest) -> SearchEnded:
    """The payload of the newest message that waits for tracking."""
    database = Database.open(RunsFolder(request.runs_dir).search("first").database, create=False)
    try:
        messages = Deliveries(database, get_search(database, "first").id, "default").waiting()
    finally:
        database.close()
    told = messages[-1].payload
    assert isinstance(told, SearchEnded)
    return told


@pytest.mark.reports
def test_a_search_leaves_its_report_and_tells_tracking(request_of_two: SearchRequest) -> None:
    result = run_search(request_of_two, run_trials=SyntheticRunner())
    names = ["report.html", "report.md", "trials.parquet", "epochs.parquet"]
    assert all((result.paths.root / name).stat().st_size > 0 for name in names)
    summary = result.paths.report_summary.read_text()
    assert "The search has finished. 2 trials: 2 completed." in summary
    told = last_message(request_of_two).reports
    assert told == tuple(str((result.paths.root / name).absolute()) for name in names)


@pytest.mark.reports
def test_a_report_that_cannot_be_written_costs_one_warning(
    request_of_two: SearchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report_module, "write_atomic", fail)
    told: list[Event] = []
    result = run_search(request_of_two, told.append, run_trials=SyntheticRunner())
    assert result.finished
    assert result.exit_code == 0
    warnings = [e.text for e in told if isinstance(e, WarningNotice) and "the report" in e.text]
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    assert "pipeline.report first --runs-dir" in warnings[0]
    assert last_message(request_of_two).reports == ()


def test_the_command_writes_what_it_names(request_of_two: SearchRequest) -> None:
    run_search(request_of_two, run_trials=SyntheticRunner())
    answer = call_here("report", "first", "--runs-dir", request_of_two.runs_dir)
    assert answer.code == 0
    assert [Path(line).name for line in answer.out.splitlines()] == [
        "report.html",
        "report.md",
        "trials.parquet",
        "epochs.parquet",
    ]
    assert all(Path(line).is_file() for line in answer.out.splitlines())
    unknown = call_here("report", "fist", "--runs-dir", request_of_two.runs_dir)
    assert unknown.code == 2
    assert "did you mean first" in unknown.err


def test_a_watched_report_follows_the_search_to_its_end(request_of_two: SearchRequest) -> None:
    def slow(assignment: Assignment, epoch: int) -> float:
        time.sleep(0.2)
        return learning_curve(assignment, epoch)

    seen: list[tuple[str, bool]] = []

    def on_written(written: WrittenReport, evidence: Any) -> None:
        reloads = 'data-reload="1"' in written.page.read_text()
        seen.append((evidence.state, reloads))

    more = request_of_two.model_copy(update={"trials": 5})
    driver = threading.Thread(
        target=run_search, args=(more,), kwargs={"run_trials": SyntheticRunner(curve=slow)}
    )
    driver.start()
    database = RunsFolder(more.runs_dir).search("first").database
    deadline = time.monotonic() + 60
    while not database.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    watch_report("first", more.runs_dir, on_written=on_written, every=0.1)
    driver.join()
    assert seen[0][0] == "running"
    assert seen[-1] == ("finished", False)
    assert all(reloads for state, reloads in seen if state == "running")
