"""Families that fail, clocks that jump, searches that are extended or moved."""

from __future__ import annotations

import io
import itertools
import random
import shutil
import time
from pathlib import Path

from rich.console import Console

from archsearch.display.summary import print_summary
from archsearch.driver.run import run_search
from archsearch.record.trial import Outcome
from archsearch.search.assignment import Assignment, EndReport
from archsearch.search.parsing import parsed_trials
from archsearch.search.request import SearchRequest
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import Steps, finish, start
from tests.chaos.fault_table import FaultTable, Snapshot, account_of, snapshot
from tests.search_support import SyntheticRunner, learning_curve, recorded


def fails(*families: str, outcome: Outcome = "failed") -> SyntheticRunner:
    """A runner in which every trial of some families ends by itself in its first epoch."""

    def end(assignment: Assignment, epoch: int) -> EndReport | None:
        if assignment.config.architecture.family not in families:
            return None
        return EndReport(
            number=assignment.number,
            attempt=assignment.attempt,
            outcome=outcome,
            reason="RuntimeError: no kernel for this",
        )

    return SyntheticRunner(end=end)


def summary_of(request: SearchRequest, runner: SyntheticRunner) -> tuple[int, str]:
    result = run_search(request, run_trials=runner)
    console = Console(file=io.StringIO(), width=140)
    print_summary(result, request, console)
    assert isinstance(console.file, io.StringIO)
    return result.exit_code, console.file.getvalue()


def test_a_family_that_fails_is_told_and_the_search_ends_well_if_any_trial_did(
    new_request: NewRequest, faults: FaultTable
) -> None:
    request = new_request("one")
    code, text = summary_of(request, fails("resnext"))
    one = snapshot(request.runs_dir)
    count = sum(trial.family == "resnext" for trial in one.recorded.trials)
    assert code == 0
    assert f"resnext    no trial was trained fully ({count} failed); trial" in text
    assert "no kernel for this" in text
    request = new_request("all")
    code, text = summary_of(request, fails("resnext", "wrn", outcome="infeasible"))
    every = snapshot(request.runs_dir)
    assert code == 4
    assert "No trial was trained fully" in text
    assert "infeasible: RuntimeError: no kernel for this" in text
    assert len(every.recorded.trials) == 10
    faults.add(
        "family-fails",
        "each trial of one family; of all families",
        count + 10,
        "exit 0 and exit 4; the summary names the family, the counts and the first reason",
        account_of([], one) + account_of([], every),
    )


class JumpingClock:
    """Sets this process's clock an hour back, then two forward, and so on."""

    def __init__(self) -> None:
        self._epochs = 0
        self._offset = 0.0
        self._time, self._time_ns = time.time, time.time_ns

    def install(self) -> None:
        time.time = lambda: self._time() + self._offset
        time.time_ns = lambda: self._time_ns() + int(self._offset * 1e9)

    def __call__(self, assignment: Assignment, epoch: int) -> float:
        """A learning curve; the clock jumps every fourth epoch."""
        self._epochs += 1
        if self._epochs % 4 == 0:
            self._offset = 3600.0 if self._offset < 0 else -3600.0
        return learning_curve(assignment, epoch)


def test_nothing_depends_on_the_clock(
    new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    request = new_request()
    clock = JumpingClock()
    steps = Steps(request.runs_dir, 40, only="commit")

    def before() -> None:
        clock.install()
        steps.install()

    assert start(request, SyntheticRunner(curve=clock), before=before).wait().code < 0
    killed = snapshot(request.runs_dir)
    end = start(request, SyntheticRunner(curve=clock), before=clock.install).wait()
    assert end.code == 0, end.told
    now = snapshot(request.runs_dir)
    assert now.recorded.table == undisturbed.recorded.table
    epochs = [epoch for trial in now.recorded.trials for epoch in trial.epochs]
    in_order = sorted(epochs, key=lambda epoch: epoch.sequence or 0)
    jumps = sum(b.created_ms < a.created_ms for a, b in itertools.pairwise(in_order))
    assert jumps >= 3  # the clock was seen to run backwards
    assert 0 <= _seconds(request) < 60
    faults.add(
        "clock-set",
        "an hour back and forth every fourth epoch, with a kill in between",
        clock_jumps(len(epochs)),
        "the undisturbed table; the search's seconds are those of a monotonic clock",
        account_of([killed], now),
    )


def clock_jumps(num_epochs: int) -> int:
    return num_epochs // 4


def _seconds(request: SearchRequest) -> float:
    from archsearch.record.database import Database
    from archsearch.record.reader import get_search

    paths = recorded(request.runs_dir).paths
    database = Database.open(paths.database, create=False)
    try:
        return get_search(database, paths.name).seconds
    finally:
        database.close()


def test_an_extended_search_goes_on_where_the_whole_one_would(
    new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    request = new_request(trials=4)
    finish(request)
    short = snapshot(request.runs_dir)
    more = request.model_copy(update={"trials": 10})
    steps = Steps(request.runs_dir, random.Random(4).randrange(60, 120))
    assert start(more, before=steps.install).wait().code < 0
    finish(more)
    now = snapshot(request.runs_dir)
    assert now.recorded.table == undisturbed.recorded.table
    account = account_of([short], now)
    assert (account.lost, account.doubled) == (0, 0)
    faults.add(
        "moved",
        "extended from 4 to 10 trials, killed once in between",
        1,
        "the table of a search of 10",
        account,
    )


def test_a_search_moved_by_copying_its_folder_goes_on_elsewhere(
    new_request: NewRequest, undisturbed: Snapshot, tmp_path: Path, faults: FaultTable
) -> None:
    request = new_request()
    steps = Steps(request.runs_dir, 200)
    assert start(request, before=steps.install).wait().code < 0
    elsewhere = tmp_path / "elsewhere" / "runs"
    shutil.copytree(request.runs_dir, elsewhere, symlinks=True)
    before = snapshot(request.runs_dir)
    shutil.rmtree(request.runs_dir)
    moved = request.model_copy(update={"runs_dir": elsewhere})
    finish(moved)
    now = snapshot(elsewhere)
    assert now.recorded.table == undisturbed.recorded.table
    account = account_of([before], now)
    assert (account.lost, account.doubled) == (0, 0)
    assert not request.runs_dir.exists()
    faults.add(
        "moved",
        "a killed search's folder, copied",
        1,
        "the undisturbed table; nothing was written to the old place",
        account,
    )


def test_a_widened_space_continues_its_search_and_a_narrowed_one_does_not(
    new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    tables = []
    wide = "  resnet: {depth: {choice: [8, 14]}}\ntraining:"
    for folder, kills in (("calm", ()), ("killed", (60, 90))):
        request = new_request(folder, name="mine")
        finish(request)
        short = snapshot(request.runs_dir)
        assert short.recorded.table == undisturbed.recorded.table
        space = Path(request.space)
        space.write_text(space.read_text().replace("training:", wide))
        more = request.model_copy(update=parsed_trials("+8"))
        before = [short]
        for step in kills:
            steps = Steps(request.runs_dir, step)
            assert start(more, before=steps.install).wait().code < 0
            before.append(snapshot(request.runs_dir))
        finish(more)
        now = snapshot(request.runs_dir)
        tables.append((now.recorded.table, now.recorded.refusals))
    assert tables[0] == tables[1]
    account = account_of(before, now)
    assert (account.lost, account.doubled) == (0, 0)
    assert len(now.recorded.trials) == 18
    assert now.recorded.table[:10] == undisturbed.recorded.table
    assert any(trial.family == "resnet" for trial in now.recorded.trials)
    faults.add(
        "moved",
        "widened by a family and extended by `--trials +8`, the driver killed twice",
        2,
        "what was finished stayed; the added trials are those of a driver that was not killed",
        account,
    )
    space.write_text(space.read_text().replace("[1, 2, 4]", "[1, 2]"))
    refused = start(more).wait()
    assert refused.code == 2
    assert "wrn/widen_factor was {choice: [1, 2, 4]}, now {choice: [1, 2]}" in refused.told
    assert snapshot(request.runs_dir) == now
    faults.add("moved", "narrowed, under its old name", 1, "exit 2, naming what differs")
