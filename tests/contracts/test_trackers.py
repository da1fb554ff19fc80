"""What the sender needs of every tracker, whatever it stands for; see `Tracker`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from archsearch.record.deliveries import Deliveries
from archsearch.record.outbox import Message
from archsearch.record.paths import RunsFolder
from archsearch.tracking.client import open_client
from archsearch.tracking.mlflow_tracker import MlflowTracker
from archsearch.tracking.open_tracker import open_tracker
from archsearch.tracking.store import TrackingStore, tracking_store
from archsearch.tracking.tracker import Tracker
from tests.memory_tracker import Place
from tests.tracking_support import Recorded, mlflow_contents, new_record, whole_search

# MLflow and what it is made of warn of their own future.
pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")


@dataclass(frozen=True)
class Destination:
    """A member: opens a tracker for a record, and tells what its destination has."""

    open: Callable[[Deliveries], Tracker]
    contents: Callable[[], Any]


def in_memory(record: Recorded, folder: Path) -> Destination:
    place, store = Place(), tracking_store(RunsFolder(folder))
    return Destination(
        lambda deliveries: place.open(store, deliveries, 8), lambda: dict(place.received)
    )


def on_a_fake_client(record: Recorded, folder: Path) -> Destination:
    from tests.fake_mlflow import FakeMlflow

    client: Any = FakeMlflow()
    store = TrackingStore("http://127.0.0.1:1", "http://127.0.0.1:1", "fake")
    return Destination(
        lambda deliveries: MlflowTracker(client, store, deliveries),
        lambda: mlflow_contents(client, record),
    )


def on_sqlite(record: Recorded, folder: Path) -> Destination:
    store = tracking_store(RunsFolder(folder))
    return Destination(
        lambda deliveries: open_tracker(store, deliveries, 8),
        lambda: mlflow_contents(open_client(store), record),
    )


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    record = new_record(tmp_path / "runs")
    yield record
    record.database.close()


@pytest.fixture(params=[in_memory, on_a_fake_client, on_sqlite])
def destination(request: pytest.FixtureRequest, record: Recorded, tmp_path: Path) -> Destination:
    made: Destination = request.param(record, tmp_path / "tracked")
    return made


@pytest.fixture
def deliveries(record: Recorded) -> Deliveries:
    return Deliveries(record.database, record.search.id, "destination")


def messages(record: Recorded, deliveries: Deliveries) -> list[Message]:
    whole_search(record)
    return deliveries.waiting()


def test_it_knows_the_search_once_it_was_told_of_its_start(
    destination: Destination, record: Recorded, deliveries: Deliveries
) -> None:
    first = messages(record, deliveries)[0]
    tracker = destination.open(deliveries)
    assert not tracker.knows_search()
    tracker.send([first])
    assert tracker.knows_search()
    tracker.check()
    tracker.close()
    assert destination.open(deliveries).knows_search()


def test_sending_again_changes_nothing_wherever_it_was_cut_short(
    destination: Destination, record: Recorded, deliveries: Deliveries
) -> None:
    """Each process dies after another number of messages and begins from the first one."""
    told = messages(record, deliveries)
    for last in (1, 2, 5, len(told), len(told)):
        tracker = destination.open(deliveries)
        tracker.knows_search()
        for message in told[:last]:
            tracker.send([message])
        tracker.check()
        if last == len(told):
            now = destination.contents()
        tracker.close()
    assert destination.contents() == now


def test_epochs_of_one_trial_arrive_together_as_they_do_one_by_one(
    destination: Destination, record: Recorded, deliveries: Deliveries
) -> None:
    told = messages(record, deliveries)
    tracker = destination.open(deliveries)
    tracker.knows_search()
    started = [m for m in told if m.kind.endswith("started")]
    epochs = [m for m in told if m.kind == "epoch" and m.number == 0]
    for message in started:
        tracker.send([message])
    tracker.send(epochs)
    together = destination.contents()
    for message in epochs:
        tracker.send([message])
    assert destination.contents() == together
    assert tracker.epochs_per_call > len(epochs)


def test_an_error_that_may_pass_is_no_refusal(
    destination: Destination, deliveries: Deliveries
) -> None:
    tracker = destination.open(deliveries)
    for error in (ConnectionError("down"), TimeoutError("late"), RuntimeError("ours")):
        assert not tracker.is_refusal(error)
        assert tracker.describe(error)
        assert "\n" not in tracker.describe(error)


def test_opened_and_closed_it_can_be_opened_again(
    destination: Destination, record: Recorded, deliveries: Deliveries
) -> None:
    told = messages(record, deliveries)
    for message in told:
        tracker = destination.open(deliveries)
        tracker.knows_search()
        tracker.send([message])
        tracker.check()
        tracker.close()
    known = destination.open(deliveries)
    assert known.knows_search()
    known.close()
