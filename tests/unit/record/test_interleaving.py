"""What reads and then writes is not disturbed by another process, wherever that one comes between.

A first operation is stopped after each of its statements in turn. Another one then runs on a
connection of its own: to its end, or until the first one's lock stops it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from archsearch.errors import ArchsearchError
from archsearch.record import lease, tables
from archsearch.record.cells import SearchIdentity
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import SearchEnded, WinnerRead
from archsearch.record.outbox import Outbox
from archsearch.record.reader import search_names
from archsearch.record.readings import Subject, TestReading, keep_reading, read_readings
from archsearch.record.requests import post_request
from archsearch.record.settings import SearchSettings
from archsearch.record.writer import Writer, create_search
from archsearch.tracking.sender_lease import SenderLease
from tests.tracking_support import ENDED, IDENTITY, SETTINGS

LOCKED_SECONDS = 0.25
"""After which an operation that has not come back is taken to wait for a lock."""

Operation = Callable[[], Any]
SUBJECT = Subject(number=3, checksum="c" * 64, data_digest="d" * 64)


def interleavings(database: Database, first: Operation, second: Operation) -> Iterator[list[Any]]:
    """What both answered or raised, for each of the first one's statements.

    Args:
        database: That the first one uses, and the second one does not.
        first: Stopped after one of its statements.
        second: Begun then.
    """
    for count in range(1, 50):
        answers = _interleaved(database, count, first, second)
        if len(answers) < 2:  # the first one has fewer statements
            assert count > 1
            return
        yield answers


def _interleaved(database: Database, count: int, first: Operation, second: Operation) -> list[Any]:
    me, seen, started = threading.get_ident(), 0, list[Future[Any]]()

    def stop(*_: Any) -> None:
        nonlocal seen
        if threading.get_ident() == me:
            seen += 1
            if seen == count:
                started.append(elsewhere.submit(second))
                with suppress(TimeoutError):
                    started[0].exception(timeout=LOCKED_SECONDS)

    with ThreadPoolExecutor(1) as elsewhere:
        sa.event.listen(database._engine, "after_cursor_execute", stop)
        try:
            answers = [_answer(first)]
        finally:
            sa.event.remove(database._engine, "after_cursor_execute", stop)
        return answers + [_answer(future.result) for future in started]


def _answer(operation: Operation) -> Any:
    try:
        return operation()
    except ArchsearchError as error:
        return error


def test_each_request_is_obeyed_or_still_waits(
    database: Database, other: Database, search_id: int
) -> None:
    writer = Writer(database, search_id, lease.acquire(database, search_id))
    post_request(other, search_id, "pause")
    taken: list[str] = []
    posted = 1
    for _ in interleavings(
        database,
        lambda: taken.extend(writer.take_requests()),
        lambda: post_request(other, search_id, "stop"),
    ):
        post_request(other, search_id, "pause")
        posted += 2
    taken += writer.take_requests()
    assert len(taken) == posted


def test_a_driver_that_lost_its_lease_takes_no_request(
    database: Database, other: Database, search_id: int
) -> None:
    held: list[int] = [lease.acquire(database, search_id)]

    def take() -> list[str]:
        post_request(database, search_id, "stop")
        return list(Writer(database, search_id, held[-1]).take_requests())

    def take_over() -> int:
        return acquire_at_once(other, search_id)

    for answer in interleavings(database, take, take_over):
        token = answer[1]
        assert isinstance(token, int)
        rest = Writer(database, search_id, token).take_requests()
        assert (answer[0], rest) in ((["stop"], []), (answer[0], ["stop"]))
        assert (answer[0] == ["stop"]) != (rest == ["stop"])
        held.append(token)


def acquire_at_once(database: Database, search_id: int) -> int:
    """Take the lease from a holder whose heart has stood still for long enough."""
    return lease.acquire(database, search_id, sleep=lambda seconds: None, stale_seconds=0.0)


@pytest.mark.parametrize("force", [False, True])
def test_one_reading_of_a_subject_is_the_first(
    database: Database, other: Database, search_id: int, *, force: bool
) -> None:
    numbers = iter(range(1000))
    subject = SUBJECT

    def read(where: Database, value: int) -> TestReading:
        predictions = np.full(5, value, np.int64)
        return keep_reading(where, search_id, subject, predictions, 0.5, force=force)

    def first() -> TestReading:
        nonlocal subject
        subject = replace(SUBJECT, number=next(numbers))
        return read(database, 1)

    for answer in interleavings(database, first, lambda: read(other, 2)):
        kept = [r for r in read_readings(other, search_id) if r.subject == subject]
        assert [reading.forced for reading in kept] == [False, True][: 1 + force]
        mine, its = (reading.predictions[0] for reading in answer)
        assert mine != its if force else mine == its == kept[0].predictions[0]


def test_of_two_drivers_one_makes_the_search(database: Database, other: Database) -> None:
    names = (f"search-{number}" for number in range(1000))
    name = ""

    def create(where: Database) -> int:
        identity = SearchIdentity.model_validate(IDENTITY)
        settings = SearchSettings.model_validate(SETTINGS)
        return create_search(where, name, identity=identity, settings=settings, space={}).id

    def first() -> int:
        nonlocal name
        name = next(names)
        return create(database)

    for mine, its in interleavings(database, first, lambda: create(other)):
        assert mine == its
        assert search_names(other).count(name) == 1


def test_of_two_that_take_a_lease_each_has_a_token_of_its_own(
    database: Database, other: Database, search_id: int
) -> None:
    tokens: list[int] = []
    for answer in interleavings(
        database,
        lambda: acquire_at_once(database, search_id),
        lambda: acquire_at_once(other, search_id),
    ):
        tokens += [token for token in answer if not isinstance(token, lease.HeldError)]
    assert len(set(tokens)) == len(tokens) > 0


def test_what_a_driver_writes_is_whole_or_refused_when_it_is_replaced(
    database: Database, other: Database, search_id: int
) -> None:
    token = lease.acquire(database, search_id)
    refusals = 0

    def write() -> None:
        told = SearchEnded.model_validate(ENDED | {"ending": "first"})
        Writer(database, search_id, token).finish(told)

    for answer in interleavings(database, write, lambda: acquire_at_once(other, search_id)):
        refusals += isinstance(answer[0], lease.FencedError)
        waiting = Deliveries(other, search_id, "default").waiting()
        with other.read() as connection:
            ending = connection.scalar(sa.select(tables.searches.c.ending))
        assert (ending == "first") == (len(waiting) == 1) == (answer[0] is None)
        token = answer[1]
        with other.write() as connection:
            connection.execute(tables.searches.update().values(ending=None))
            connection.execute(tables.outbox.delete())
    assert refusals == 0  # whoever takes over waits for the transaction, and is told of it whole


def test_the_name_that_a_server_gave_is_kept_once(
    database: Database, other: Database, search_id: int
) -> None:
    mine, its = (Deliveries(each, search_id, "default") for each in (database, other))
    for answer in interleavings(
        database,
        lambda: mine.store_id("search", "a"),
        lambda: its.store_id("search", "b"),
    ):
        assert answer == [None, None]
        assert mine.known_id("search") in ("a", "b")


def test_of_two_that_learn_of_a_reading_one_tells_of_it(
    database: Database, other: Database, search_id: int
) -> None:
    kinds = ("search_ended", "winner_read")

    def tell(where: Database) -> bool:
        outbox = Outbox(where, search_id)
        return outbox.add(WinnerRead.model_validate(ENDED), after=None, among=kinds)

    for answer in interleavings(database, lambda: tell(database), lambda: tell(other)):
        assert sorted(answer) == [False, True]
        assert len(Deliveries(other, search_id, "default").waiting()) == 1
        with other.write() as connection:
            connection.execute(tables.outbox.delete())


def test_one_sends_at_a_time(database: Database, other: Database, search_id: int) -> None:
    def hold(where: Database) -> bool:
        return SenderLease(where, search_id, "default").hold()

    for answer in interleavings(database, lambda: hold(database), lambda: hold(other)):
        assert sorted(answer) == [False, True]
        with other.write() as connection:
            connection.execute(tables.tracking_ids.delete())
