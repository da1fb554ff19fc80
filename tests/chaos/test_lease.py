"""One driver a search: of two that start together, of one that was away."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest
import sqlalchemy as sa

from archsearch.record import database, failures, lease, tables
from archsearch.search.assignment import Assignment
from archsearch.search.request import SearchRequest
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import Driver, End, Steps, paced, start
from tests.chaos.fault_table import Account, FaultTable, Snapshot, account_of, snapshot
from tests.search_support import SyntheticRunner, learning_curve, recorded

TOGETHER = 5
"""Pairs that run at a time: they mostly wait."""


@pytest.mark.parametrize(
    "num_pairs", [5, pytest.param(20, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_of_two_drivers_started_together_exactly_one_runs(
    num_pairs: int, new_request: NewRequest, faults: FaultTable
) -> None:
    generator = random.Random(num_pairs)
    cost = Account()
    for first in range(0, num_pairs, TOGETHER):
        requests = [new_request(f"pair{first + i}", trials=1) for i in range(TOGETHER)]
        pairs = []
        for request in requests:
            one = start(request, paced(0.3))
            time.sleep(generator.choice([0.0, 0.0, 0.01, 0.05]))
            pairs.append((request, one, start(request, paced(0.3))))
        for request, one, other in pairs:
            cost += _one_ran(request, [one.wait(), other.wait()])
    faults.add(
        "two-drivers", "synthetic trials", num_pairs, "one ran, the other was told who does", cost
    )


def _one_ran(request: SearchRequest, ends: list[End]) -> Account:
    ran, refused = sorted(ends, key=lambda end: end.code)
    assert ran.code == 0, ends
    assert refused.code == 3, ends
    assert "this search is being run by process" in refused.told
    end = snapshot(request.runs_dir)
    assert all(list(trial.attempts) == [1] for trial in end.recorded.trials)
    account = account_of([], end)
    assert (account.repeated, account.lost, account.doubled) == (0, 0, 0)
    assert _times_started(request) == 1
    return account


def _times_started(request: SearchRequest) -> int:
    record = database.Database.open(recorded(request.runs_dir).paths.database, create=False)
    kind = tables.outbox.c.kind == "search_started"
    with record.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).where(kind)) or 0


def with_patience(seconds: float) -> Callable[[], None]:
    """Let a driver wait for a lease for so long; by default 30 s, which the slow test waits."""

    def install() -> None:
        patient = functools.partial(lease.acquire, stale_seconds=seconds)
        lease.acquire = patient

    return install


@dataclass
class Dozes:
    """Stops the process once, with an epoch half done, as a laptop's lid does."""

    epochs: int

    def __call__(self, assignment: Assignment, epoch: int) -> float:
        self.epochs -= 1
        if self.epochs == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.1)
        return learning_curve(assignment, epoch)


def wait_until_stopped(driver: Driver) -> None:
    while psutil.Process(driver.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.05)


@pytest.mark.parametrize(
    "stale_seconds",
    [2.0, pytest.param(lease.STALE_SECONDS, marks=pytest.mark.slow)],
    ids=["short", "whole"],
)
def test_a_driver_that_was_away_is_replaced_and_stops_without_writing(
    stale_seconds: float, new_request: NewRequest, faults: FaultTable
) -> None:
    request = new_request()
    away = start(request, SyntheticRunner(curve=Dozes(5)))
    wait_until_stopped(away)
    before = snapshot(request.runs_dir)
    stopped = time.monotonic()
    assert not all(trial.is_finished for trial in before.recorded.trials)
    successor = start(request, paced(0.1), before=with_patience(stale_seconds))
    while (taken := snapshot(request.runs_dir)).started == before.started:
        assert time.monotonic() < stopped + stale_seconds + 20
        time.sleep(0.1)
    waited = time.monotonic() - stopped
    assert waited >= stale_seconds
    # It wakes while its successor is at work.
    away.signal(signal.SIGCONT)
    woken = away.wait()
    assert woken.code == 1
    assert "FencedError: this driver was away for too long" in woken.told
    assert f"process {successor.pid}" in woken.told
    assert successor.wait().code == 0
    end = snapshot(request.runs_dir)
    account = account_of([before, taken], end)
    assert (account.lost, account.doubled) == (0, 0)
    assert account.repeated <= 1
    assert all(trial.is_finished for trial in end.recorded.trials)
    faults.add(
        "driver-paused",
        f"for more than {stale_seconds:.0f} s",
        1,
        f"its successor trained {waited:.1f} s after it stood still; woken, it ended with exit "
        "code 1 and wrote nothing",
        account,
    )


def impatient(seconds: float) -> Callable[[], None]:
    """Let a process wait for the record's lock for so long."""

    def install() -> None:
        failures.BUSY_SECONDS = seconds

    return install


@pytest.mark.parametrize(
    "busy_seconds",
    [1.0, pytest.param(failures.BUSY_SECONDS, marks=pytest.mark.slow)],
    ids=["short", "whole"],
)
def test_a_driver_that_sleeps_in_a_transaction_is_named_and_goes_on_when_it_wakes(
    busy_seconds: float,
    new_request: NewRequest,
    undisturbed: Snapshot,
    faults: FaultTable,
) -> None:
    request = new_request()
    steps = Steps(request.runs_dir, 30, signal.SIGSTOP, only="commit")
    asleep = start(request, before=steps.install)
    wait_until_stopped(asleep)
    began = time.monotonic()
    refused = start(request, before=impatient(busy_seconds)).wait()
    waited = time.monotonic() - began
    assert refused.code == 3
    assert f"process {asleep.pid}" in refused.told
    assert "end that, then run the same command again" in refused.told
    assert waited >= busy_seconds
    asleep.signal(signal.SIGCONT)
    assert asleep.wait().code == 0
    end = snapshot(request.runs_dir)
    assert end.recorded.table == undisturbed.recorded.table
    faults.add(
        "record-locked",
        f"a driver stopped before a commit; the lock is waited for {busy_seconds:.0f} s",
        1,
        f"after {waited:.1f} s the second driver named it and left; woken, it finished",
        account_of([], end),
    )


def test_a_short_lock_is_waited_for(
    new_request: NewRequest, undisturbed: Snapshot, faults: FaultTable
) -> None:
    request = new_request()
    driver = start(request, paced(0.1))
    time.sleep(1.0)
    path = recorded(request.runs_dir).paths.database
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        for _ in range(4):
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.5)
            assert driver.is_running
            other.execute("COMMIT")
            time.sleep(0.05)
    assert driver.wait().code == 0
    end = snapshot(request.runs_dir)
    assert end.recorded.table == undisturbed.recorded.table
    faults.add(
        "record-locked",
        "locked for half a second, again and again",
        4,
        "waited; the undisturbed table",
        account_of([], end),
    )
