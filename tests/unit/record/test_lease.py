"""One driver a search: held, taken over, fenced."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from archsearch.record import lease, tables
from archsearch.record.database import Database
from archsearch.record.messages import SearchEnded
from archsearch.record.writer import Writer
from tests.tracking_support import ENDED


def held_by(database: Database, search_id: int, **changes: object) -> None:
    """Let the lease look as another process left it."""
    with database.write() as connection:
        connection.execute(
            tables.searches.update()
            .where(tables.searches.c.id == search_id)
            .values(holder=lease.this_process() | changes, token=5)
        )


class Clock:
    """A clock that only moves while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_dead_holder_on_this_machine_is_replaced_at_once(
    database: Database, search_id: int
) -> None:
    held_by(database, search_id, started="1")
    clock = Clock()
    assert lease.acquire(database, search_id, clock=clock, sleep=clock.sleep) == 6
    assert clock.now == 0


def test_a_holder_whose_heart_beats_keeps_its_lease(database: Database, search_id: int) -> None:
    held_by(database, search_id)
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        lease.beat(database, search_id, 5, seconds)

    with pytest.raises(lease.HeldError, match=f"process {os.getpid()}"):
        lease.acquire(database, search_id, clock=clock, sleep=sleep)
    assert clock.now < lease.STALE_SECONDS


@pytest.mark.parametrize("changes", [{}, {"place": "elsewhere", "host": "other"}])
def test_a_holder_that_stands_still_is_replaced_after_30_seconds_and_fenced(
    database: Database, search_id: int, changes: dict[str, object]
) -> None:
    held_by(database, search_id, **changes)
    clock = Clock()
    token = lease.acquire(database, search_id, clock=clock, sleep=clock.sleep)
    assert clock.now >= lease.STALE_SECONDS
    former = Writer(database, search_id, 5)
    writes: list[Callable[[], None]] = [
        lambda: former.beat(1.0),
        lambda: former.end_attempts(0, "lost", ""),
        lambda: former.finish(SearchEnded.model_validate(ENDED)),
    ]
    for write in writes:
        with pytest.raises(lease.FencedError):
            write()
    former.release()  # must not give the new holder's lease away
    with database.read() as connection:
        row = connection.execute(sa.select(tables.searches)).one()
    assert (row.token, row.finished) == (token, False)
    assert row.holder is not None


def _try(place: Path | str, search_id: int, start: object, answers: object) -> None:
    database = Database.open(place, create=False)
    start.wait()  # type: ignore[attr-defined]
    clock = Clock()

    def sleep(seconds: float) -> None:
        # The winner's heart must beat for the others to see it.
        import time

        time.sleep(0.05)
        clock.sleep(seconds)

    try:
        token = lease.acquire(database, search_id, clock=clock, sleep=sleep)
    except lease.HeldError:
        answers.put(None)  # type: ignore[attr-defined]
        return
    answers.put(token)  # type: ignore[attr-defined]
    for _ in range(40):
        lease.beat(database, search_id, token, 0.0)
        sleep(0)


def test_of_drivers_that_start_together_exactly_one_runs(
    database: Database, search_id: int, record_place: Path | str
) -> None:
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        start, answers = context.Event(), context.Queue()
        drivers = [
            context.Process(target=_try, args=(record_place, search_id, start, answers))
            for _ in range(3)
        ]
        for driver in drivers:
            driver.start()
        start.set()
        tokens = [answers.get(timeout=60) for _ in drivers]
        for driver in drivers:
            driver.join()
        assert sum(token is not None for token in tokens) == 1
