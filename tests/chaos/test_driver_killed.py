"""A driver that is killed at any moment costs at most an epoch a running trial."""

from __future__ import annotations

import random
import signal
import time

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import ArchsearchError
from archsearch.search.request import SearchRequest
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import Steps, finish, paced, start
from tests.chaos.fault_table import Account, FaultTable, Snapshot, account_of, snapshot
from tests.search_support import SyntheticRunner


def count_steps(request: SearchRequest) -> int:
    steps = Steps(request.runs_dir)
    end = start(request, before=steps.install, answer=lambda: str(steps.count)).wait()
    assert end.code == 0, end.told
    return int(end.told)


def disturb(request: SearchRequest, step: int, undisturbed: Snapshot) -> Account:
    """Kill at a step, continue, compare; what it cost."""
    steps = Steps(request.runs_dir, at=step)
    killed = start(request, before=steps.install).wait()
    assert killed.code == -signal.SIGKILL, killed
    before = _snapshots(request)
    finish(request)
    end = snapshot(request.runs_dir)
    assert end.recorded.table == undisturbed.recorded.table, f"killed at step {step}"
    assert end.recorded.refusals == undisturbed.recorded.refusals
    account = account_of(before, end)
    assert (account.lost, account.doubled) == (0, 0), f"killed at step {step}: {account}"
    assert account.repeated <= 1, f"killed at step {step}: {account}"
    return account


def _snapshots(request: SearchRequest) -> list[Snapshot]:
    """What is recorded now, unless the driver died before there was a record."""
    try:
        return [snapshot(request.runs_dir)]
    except (ArchsearchError, ValueError):
        return []


@pytest.mark.parametrize(
    "many", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_killed_before_any_step_one_worker_ends_with_the_undisturbed_table(
    many: bool, new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    num_steps = count_steps(new_request("counted"))
    generator = random.Random(2 if many else 1)
    some = {1, num_steps, *generator.sample(range(num_steps), 8)}
    whole_start_and_finish = {*range(1, 41), *range(num_steps - 39, num_steps + 1)}
    moments = whole_start_and_finish | set(generator.sample(range(num_steps), 80))
    chosen = sorted(moments if many else some)
    cost = Account()
    for step in chosen:
        cost += disturb(new_request(f"step{step}"), step, undisturbed)
    faults.add(
        "driver-killed",
        f"before one of {num_steps} statements, commits and file operations"
        + (", all of start and finish among them" if many else ""),
        len(chosen),
        "the undisturbed table each time",
        cost,
    )


@pytest.mark.slow
def test_killed_before_any_step_of_the_confirm_runs(
    new_request: NewRequest, faults: FaultTable
) -> None:
    """From the last trials over the confirm runs and the reading of the test split to the end."""
    wanted = {"trials": 3, "confirm": "1x2"}
    calm = new_request("calm", **wanted)
    run_search(calm, run_trials=SyntheticRunner())
    undisturbed = snapshot(calm.runs_dir)
    assert sum(trial.is_confirm_run for trial in undisturbed.recorded.trials) == 2
    num_steps = count_steps(new_request("counted", **wanted))
    chosen = random.Random(3).sample(range(num_steps // 2, num_steps + 1), 16)
    cost = Account()
    for step in chosen:
        cost += disturb(new_request(f"step{step}", **wanted), step, undisturbed)
    faults.add(
        "driver-killed",
        f"before one of the last {num_steps // 2} steps of a search with confirm runs",
        len(chosen),
        "the undisturbed table each time",
        cost,
    )


@pytest.mark.parametrize(
    "kills_wanted", [6, pytest.param(40, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_killed_again_and_again_several_workers_lose_and_repeat_nothing_that_is_finished(
    kills_wanted: int, new_request: NewRequest, faults: FaultTable
) -> None:
    """With several workers the table depends on timing; what was finished must stay."""
    num_workers = 3
    generator = random.Random(kills_wanted)
    request = new_request(trials=4 * kills_wanted)
    before: list[Snapshot] = []
    for _ in range(kills_wanted):
        steps = Steps(request.runs_dir, at=generator.randint(1, 200))
        runner = SyntheticRunner(num_slots=num_workers)
        end = start(request, runner, before=steps.install).wait()
        assert end.code == -signal.SIGKILL, end
        before += _snapshots(request)
    finish(request, SyntheticRunner(num_slots=num_workers))
    end_of_search = snapshot(request.runs_dir)
    account = account_of(before, end_of_search)
    assert (account.lost, account.doubled) == (0, 0)
    assert account.repeated <= num_workers * kills_wanted
    assert all(trial.is_finished for trial in end_of_search.recorded.trials)
    faults.add(
        "driver-killed",
        f"{kills_wanted} times in one search of {num_workers} workers",
        kills_wanted,
        "finished trials stayed as they were",
        account,
    )


@pytest.mark.slow
def test_killed_by_the_clock_while_its_threads_write_too(
    new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    """The heartbeat writes from a thread of its own; a kill may meet both."""
    generator = random.Random(3)
    request = new_request()
    before: list[Snapshot] = []
    kills = 0
    while True:
        driver = start(request, paced(0.05))
        time.sleep(generator.uniform(0.02, 2.5))
        driver.signal(signal.SIGKILL)
        if driver.wait().code == 0:
            break
        kills += 1
        before += _snapshots(request)
    assert kills > 0
    end = snapshot(request.runs_dir)
    account = account_of(before, end)
    assert end.recorded.table == undisturbed.recorded.table
    assert (account.lost, account.doubled) == (0, 0)
    assert account.repeated <= kills
    faults.add(
        "driver-killed", "after a random time", kills, "the undisturbed table at the end", account
    )
