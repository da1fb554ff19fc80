from typing import Any

import pytest

from archsearch.record import lease
from archsearch.tracking.sender_lease import BEAT_SECONDS, STALE_SECONDS, SenderLease
from tests.tracking_support import Recorded


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lease_of(record: Recorded, destination: str = "a", **options: Any) -> SenderLease:
    return SenderLease(record.database, record.search.id, destination, **options)


def test_one_at_a_time_and_the_next_after_a_release(record: Recorded) -> None:
    first, second = (lease_of(record) for _ in range(2))
    assert first.hold()
    assert not second.hold()
    assert second.holder == lease.this_process()
    first.release()
    assert second.hold()


def test_releasing_somebody_elses_turn_changes_nothing(record: Recorded) -> None:
    first, second, third = (lease_of(record) for _ in range(3))
    assert first.hold()
    second.release()
    assert not third.hold()


def test_a_holder_that_is_known_to_be_dead_is_replaced_at_once(
    record: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lease_of(record).hold()
    monkeypatch.setattr(lease, "known_dead", lambda holder: True)
    assert lease_of(record).hold()


def test_a_counter_that_stands_still_long_enough_loses_the_turn(record: Recorded) -> None:
    clock = Clock()
    first, second = (lease_of(record, clock=clock) for _ in range(2))
    assert first.hold()
    assert not second.hold()
    clock.now += STALE_SECONDS - 1
    assert not second.hold()
    assert first.hold()  # it lives: the counter moves
    clock.now += BEAT_SECONDS
    assert not second.hold()
    clock.now += STALE_SECONDS
    assert second.hold()
    clock.now += BEAT_SECONDS
    assert not first.hold()


def test_each_destination_has_a_turn_of_its_own(record: Recorded) -> None:
    assert lease_of(record, "a").hold()
    assert lease_of(record, "b").hold()
    assert not lease_of(record, "a").hold()
