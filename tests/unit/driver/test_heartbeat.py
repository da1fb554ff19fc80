"""A driver whose heart has stopped ends its run: it could not be steered, and loses its lease."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import UnfitError
from archsearch.record.lease import HEARTBEAT_SECONDS
from archsearch.record.paths import RunsFolder
from archsearch.search.request import SearchRequest
from tests.search_support import SyntheticRunner, learning_curve, recorded

Harm = Callable[[Path, pytest.MonkeyPatch], None]


def lose_the_table_of_requests(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats are written as before; only the look for requests fails."""
    with closing(sqlite3.connect(record)) as connection:
        connection.execute("DROP TABLE requests")


def stumble(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mistake of ours would."""

    def fail(*args: Any) -> list[str]:
        raise RuntimeError("no such request")

    monkeypatch.setattr("archsearch.record.writer.Writer.take_requests", fail)


@pytest.mark.parametrize(
    ("harm", "error", "told"),
    [
        (lose_the_table_of_requests, UnfitError, "search.db cannot be read .*requests"),
        (stumble, RuntimeError, "no such request"),
    ],
)
def test_a_driver_that_cannot_look_for_requests_ends_with_the_cause(
    request_in: SearchRequest,
    monkeypatch: pytest.MonkeyPatch,
    harm: Harm,
    error: type[Exception],
    told: str,
) -> None:
    """Within some beats, not when all trials are done; what is finished stays on record."""
    epochs: list[int] = []

    def curve(assignment: Any, epoch: int) -> float:
        if not epochs:
            runs = RunsFolder(request_in.runs_dir)
            harm(runs.search(runs.names()[0]).database, monkeypatch)
        epochs.append(epoch)
        time.sleep(HEARTBEAT_SECONDS / 5)
        return learning_curve(assignment, epoch)

    with pytest.raises(error, match=told):
        run_search(request_in, run_trials=SyntheticRunner(curve=curve))
    assert len(epochs) < 24  # not one for each trial
    assert recorded(request_in.runs_dir).epochs_recorded in (len(epochs), len(epochs) - 1)


def test_a_record_that_is_lost_in_the_last_steps_is_not_a_search_that_went_well(
    request_in: SearchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(database: Any, search: Any, paths: Any, trials: Any, listener: Any) -> list[str]:
        lose_the_table_of_requests(paths.database, monkeypatch)
        time.sleep(2 * HEARTBEAT_SECONDS)
        return []

    monkeypatch.setattr("archsearch.driver.run.write_final_report", report)
    with pytest.raises(UnfitError, match=r"search.db cannot be read .*requests"):
        run_search(request_in, run_trials=SyntheticRunner())


def test_what_ends_the_trials_is_how_the_search_ended(request_in: SearchRequest) -> None:
    def run_trials(*_: object) -> None:
        raise UnfitError("cannot join the Ray cluster")

    with pytest.raises(UnfitError, match="cannot join"):
        run_search(request_in, run_trials=run_trials)
    runs = RunsFolder(request_in.runs_dir)
    with closing(sqlite3.connect(runs.search(runs.names()[0]).database)) as connection:
        (ending,) = connection.execute("SELECT ending FROM searches").fetchone()
    assert ending == "ended by an error: cannot join the Ray cluster"
