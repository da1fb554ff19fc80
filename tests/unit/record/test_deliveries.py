"""What each destination has received: one mark a destination, exact to the message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries, DeliveryState, delivery_states
from archsearch.record.messages import WinnerRead
from archsearch.record.outbox import post
from tests.stored_records import STORED, engine_of, open_to_write, put_stored
from tests.tracking_support import ENDED, Recorded, new_record


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    record = new_record(tmp_path / "runs")
    yield record
    record.database.close()


def to(record: Recorded, destination: str) -> Deliveries:
    return Deliveries(record.database, record.search.id, destination)


def add(record: Recorded, num_messages: int) -> list[int]:
    before = to(record, "nobody").count_waiting()
    with record.database.write() as connection:
        for _ in range(num_messages):
            post(connection, record.search.id, WinnerRead.model_validate(ENDED))
    return [message.id for message in to(record, "nobody").waiting(10_000)][before:]


def test_what_one_destination_has_received_the_others_still_lack(record: Recorded) -> None:
    ids = add(record, 3)
    a, b = to(record, "a"), to(record, "b")
    a.delivered(ids)
    add(record, 1)
    b.delivered(ids)
    assert (a.count_waiting(), b.count_waiting(), to(record, "c").count_waiting()) == (1, 1, 4)


@settings(max_examples=30)
@given(data=st.data())
def test_in_whatever_order_messages_arrive_exactly_the_others_wait(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    record = new_record(tmp_path_factory.mktemp("record") / "runs")
    ids = add(record, 8)
    deliveries, arrived = to(record, "a"), set()
    for group in data.draw(st.lists(st.lists(st.sampled_from(ids), min_size=1), max_size=6)):
        deliveries.delivered(group)
        arrived |= set(group)
        waiting = [each for each in ids if each not in arrived]
        assert [message.id for message in deliveries.waiting()] == waiting
        assert [message.id for message in deliveries.waiting(2)] == waiting[:2]
        assert deliveries.count_waiting() == len(waiting)
    record.database.close()


def test_a_parked_message_waits_no_more_where_it_was_refused(record: Recorded) -> None:
    ids = add(record, 2)
    a, b = to(record, "a"), to(record, "b")
    a.park(ids[1], "no")
    a.park(ids[1], "still no")
    assert (a.parked(), [m.id for m in a.waiting()]) == (["still no"], ids[:1])
    assert (b.parked(), b.count_waiting()) == ([], 2)


def test_to_redeliver_forgets_all_of_one_destination_but_whose_turn_it_is(
    record: Recorded,
) -> None:
    ids = add(record, 2)
    a, b = to(record, "a"), to(record, "b")
    for each in (a, b):
        each.delivered(ids[:1])
        each.park(ids[1], "no")
        each.store_id("search", "x")
        each.store_id("turn", "mine")
    a.redeliver()
    assert (a.count_waiting(), a.parked(), a.known_id("search")) == (2, [], None)
    assert a.known_id("turn") == "mine"
    assert (b.count_waiting(), b.parked(), b.known_id("search")) == (0, ["no"], "x")


def test_the_last_destination_that_a_driver_used_is_the_current_one(record: Recorded) -> None:
    ids = add(record, 2)
    for destination in ("a", "b", "a", "a"):
        to(record, destination).begin()
    to(record, "tracked by hand").delivered(ids)
    to(record, "b").park(ids[0], "no")
    assert delivery_states(record.database, record.search.id) == [
        DeliveryState("a", is_current=True, waiting=2, parked=0),
        DeliveryState("b", is_current=False, waiting=1, parked=1),
        DeliveryState("tracked by hand", is_current=False, waiting=0, parked=0),
    ]


def migrated(place: Path | str, *changes: str) -> tuple[Database, int]:
    put_stored(STORED[0], place)
    with engine_of(place).begin() as connection:
        for change in changes:
            connection.exec_driver_sql(change)
    return open_to_write(place), 1


def test_the_flags_of_the_first_release_are_those_of_the_store_that_it_used(
    record_place: Path | str,
) -> None:
    database, search_id = migrated(
        record_place,
        "UPDATE outbox SET delivered = FALSE WHERE id IN (5, 20)",
        "UPDATE outbox SET parked = 'no' WHERE id = 7",
    )
    own = Deliveries(database, search_id, "default")
    assert [message.id for message in own.waiting()] == [5, 20]
    assert own.parked() == ["no"]
    assert own.known_id("search") == "c8dde7b21fcc4a0591d859a541fdcf5d"
    (state,) = delivery_states(database, search_id)
    assert state == DeliveryState("default", is_current=True, waiting=2, parked=1)
    # Another store starts from the first message.
    assert Deliveries(database, search_id, "http://other").count_waiting() == 23
    own.delivered([5, 20])
    assert own.count_waiting() == 0
    database.close()


def test_a_search_that_reached_no_store_has_everything_to_tell(record_place: Path | str) -> None:
    database, search_id = migrated(
        record_place, "DELETE FROM tracking_ids", "UPDATE outbox SET delivered = FALSE"
    )
    assert delivery_states(database, search_id) == []
    assert Deliveries(database, search_id, "default").count_waiting() == 23
    database.close()
