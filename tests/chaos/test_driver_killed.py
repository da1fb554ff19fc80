"""A driver that is killed at any moment costs at most an epoch a running trial."""

from __future__ import annotations

import random
import signal

import pytest

from archsearch.search.request import SearchRequest
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import Steps, finish, start
from tests.chaos.fault_table import Account, FaultTable, Snapshot, account_of, snapshot


def count_steps(request: SearchRequest) -> int:
    steps = Steps(request.runs_dir)
    end = start(request, before=steps.install, answer=lambda: str(steps.count)).wait()
    assert end.code == 0, end.told
    return int(end.told)


def disturb(request: SearchRequest, step: int, undisturbed: Snapshot) -> Account:
    """Kill at a step, continue, compare; what it cost."""
    steps = Steps(request.runs_dir, die_at=step)
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
    from archsearch.errors import ArchsearchError

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
