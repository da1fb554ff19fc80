from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.record import lease
from archsearch.tracking.sender_lease import BEAT_SECONDS, STALE_SECONDS, SenderLease
from tests.tracking_support import Recorded, new_record


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    record = new_record(tmp_path)
    yield record
    record.database.close()


def test_one_at_a_time_and_the_next_after_a_release(record: Recorded) -> None:
    first, second = (SenderLease(record.database, record.search.id) for _ in range(2))
    assert first.hold()
    assert not second.hold()
    assert second.holder == lease.this_process()
    first.release()
    assert second.hold()


def test_releasing_somebody_elses_turn_changes_nothing(record: Recorded) -> None:
    first, second, third = (SenderLease(record.database, record.search.id) for _ in range(3))
    assert first.hold()
    second.release()
    assert not third.hold()


def test_a_holder_that_is_known_to_be_dead_is_replaced_at_once(
    record: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SenderLease(record.database, record.search.id).hold()
    monkeypatch.setattr(lease, "known_dead", lambda holder: True)
    assert SenderLease(record.database, record.search.id).hold()


def test_a_counter_that_stands_still_long_enough_loses_the_turn(record: Recorded) -> None:
    clock = Clock()
    first, second = (SenderLease(record.database, record.search.id, clock=clock) for _ in range(2))
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
