"""A record on a PostgreSQL server is as exact as one in a file."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from archsearch.record import tables
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search, read_refusals, read_trials
from archsearch.search.request import SearchRequest
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import Steps, finish, paced, start
from tests.chaos.fault_table import Account, FaultTable, Snapshot, account_of
from tests.postgresql_server import Server, running_server, what_is_missing
from tests.requirements import skip_or_fail
from tests.search_support import Recorded

pytestmark = pytest.mark.slow

NAME = "on-a-server"


@pytest.fixture(scope="module")
def server(faults: FaultTable) -> Iterator[Server]:
    """Skipped where PostgreSQL or its Python driver is not installed."""
    missing = what_is_missing()
    if missing is not None:
        faults.skip("postgresql", missing)
        skip_or_fail(faults.skipped["postgresql"])
    with running_server(durable=True) as server:
        yield server


@pytest.fixture
def server_request(new_request: NewRequest, server: Server) -> Callable[..., SearchRequest]:
    """Makes requests whose record is in a new database."""

    def make(folder: str, **fields: object) -> SearchRequest:
        url = server.new_database(folder)
        return new_request(folder, name=NAME, database=url, **fields)

    return make


def read(request: SearchRequest) -> Snapshot:
    paths = RunsFolder(request.runs_dir).search(NAME)
    database = Database.open(str(request.database), create=False)
    try:
        search_id = get_search(database, NAME).id
        now = Recorded(read_trials(database, search_id), read_refusals(database, search_id), paths)
    finally:
        database.close()
    return Snapshot(now, paths.epochs_started())


def test_of_two_drivers_started_together_exactly_one_runs(
    server_request: Callable[..., SearchRequest], faults: FaultTable
) -> None:
    pairs = 20
    cost = Account()
    for first in range(0, pairs, 5):
        running = []
        for pair in range(first, first + 5):
            request = server_request(f"pair{pair}", trials=3)
            running.append((request, start(request, paced(0.3)), start(request, paced(0.3))))
        for request, one, other in running:
            ran, refused = sorted((one.wait(), other.wait()), key=lambda end: end.code)
            assert (ran.code, refused.code) == (0, 3), (ran, refused)
            assert "is being run by process" in refused.told
            cost += account_of([], read(request))
            assert _times_started(request) == 1
    assert cost.attempts == cost.trials == 3 * pairs
    faults.add("postgresql", "two drivers started together", pairs, "one ran each time", cost)


def _times_started(request: SearchRequest) -> int:
    database = Database.open(str(request.database), create=False)
    kind = tables.outbox.c.kind == "search_started"
    try:
        with database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(kind)) or 0
    finally:
        database.close()


def test_killed_before_any_step_it_ends_with_the_undisturbed_table(
    server_request: Callable[..., SearchRequest], undisturbed: Snapshot, faults: FaultTable
) -> None:
    generator = random.Random(5)
    kills = 15
    cost = Account()
    for kill in range(kills):
        request = server_request(f"kill{kill}")
        steps = Steps(request.runs_dir, generator.randrange(30, 400))
        assert start(request, before=steps.install).wait().code == -signal.SIGKILL
        before = read(request)
        finish(request)
        now = read(request)
        assert now.recorded.table == undisturbed.recorded.table
        cost += account_of([before], now)
    assert (cost.lost, cost.doubled) == (0, 0)
    assert cost.repeated <= kills
    faults.add("postgresql", "driver killed before a step", kills, "the undisturbed table", cost)


def test_a_server_that_restarts_ends_the_search_with_its_cause_and_it_continues(
    server: Server,
    server_request: Callable[..., SearchRequest],
    undisturbed: Snapshot,
    faults: FaultTable,
) -> None:
    request = server_request("restarted")
    driver = start(request, paced(0.2))
    time.sleep(3.0)
    at_crash = read(request).recorded
    assert at_crash.epochs_recorded > 0
    assert sum(trial.is_finished for trial in at_crash.trials) < request.trials
    server.crash_and_start()
    end = driver.wait()
    assert end.code in (0, 3), end.told
    assert end.code == 0 or "check that it can be reached" in end.told
    before = read(request)
    finish(request)
    now = read(request)
    assert now.recorded.table == undisturbed.recorded.table
    account = account_of([before], now)
    assert (account.lost, account.doubled) == (0, 0)
    faults.add(
        "postgresql",
        "the server restarted while the search ran",
        1,
        f"exit {end.code}, then the undisturbed table",
        account,
    )
