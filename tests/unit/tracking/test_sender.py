"""The sender's thread: whatever is thrown at it, all is delivered or the driver hears of it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archsearch.errors import UnfitError
from archsearch.record.deliveries import Deliveries, delivery_states
from archsearch.record.paths import RunsFolder
from archsearch.record.status import delivery_lines
from archsearch.tracking import sender as sender_module
from archsearch.tracking.remote import cautions
from archsearch.tracking.sender import BusyError, Sender, deliver
from archsearch.tracking.sender_lease import SenderLease
from archsearch.tracking.store import TrackingStore, tracking_store
from tests.memory_tracker import Place
from tests.tracking_support import Recorded, whole_search

TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x50"
NUM_MESSAGES = 17


class Answering(threading.Thread):
    """A real socket that answers every connection with the same bytes, and closes it."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.url = f"http://0.0.0.0:{self.socket.getsockname()[1]}"

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._answer)


@pytest.fixture(params=[TLS_ALERT, b"\x00" * 64, b"SSH-2.0-x\r\n", b""])
def stranger(request: pytest.FixtureRequest) -> Iterator[Answering]:
    server = Answering(request.param)
    server.start()
    yield server
    server.socket.close()


def test_a_server_that_does_not_speak_http_is_warned_of_and_asked_again(
    record: Recorded, stranger: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_ROUND_SECONDS", 0.01)
    store = tracking_store(RunsFolder(Path("runs")), stranger.url)
    assert cautions(store) == []
    record.start()
    heard: list[str] = []
    sender = Sender(
        record.database, record.search.id, store, warn=heard.append, command="track first"
    )
    sender.start()
    assert sender.close(60) == 1
    assert len(heard) == 2
    assert "fails" in heard[0]
    assert heard[1].startswith("1 messages")


class Broken:
    """Raises at one call, the first time or always."""

    def __init__(self, call: str, error: BaseException, *, always: bool) -> None:
        self._call, self._error, self._always = call, error, always
        self.raised = 0

    def __call__(self, call: str = "") -> None:
        if call == self._call and (self._always or not self.raised):
            self.raised += 1
            raise self._error


CALLS = ["cautions", "open", "knows_search", "check", "send", "hold", "waiting", "count_waiting"]
ERRORS = [OSError("no"), http.client.BadStatusLine("\x15"), KeyError("no"), UnfitError("no")]


def break_call(place: Place, monkeypatch: pytest.MonkeyPatch, call: str, broken: Broken) -> None:
    place.fails = broken
    owners = {"hold": SenderLease, "waiting": Deliveries, "count_waiting": Deliveries}
    main = threading.main_thread()

    def breaking(real: Callable[..., object]) -> Callable[..., object]:
        def method(*args: object, **kwargs: object) -> object:
            if threading.current_thread() is not main:
                broken(call)
            return real(*args, **kwargs)

        return method

    if call == "cautions":
        monkeypatch.setattr(sender_module, "cautions", breaking(lambda store: []))
    if call in owners:
        monkeypatch.setattr(owners[call], call, breaking(getattr(owners[call], call)))


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("call", CALLS)
def test_an_error_in_any_call_of_the_thread_is_told_once_and_all_arrives_later(
    record: Recorded,
    store: TrackingStore,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: Exception,
) -> None:
    monkeypatch.setattr(sender_module, "_ROUND_SECONDS", 0.01)
    place, broken = Place(), Broken(call, error, always=False)
    break_call(place, monkeypatch, call, broken)
    heard: list[str] = []
    warned = threading.Event()

    def warn(text: str) -> None:
        heard.append(text)
        warned.set()

    whole_search(record)
    sender = Sender(
        record.database, record.search.id, store, warn=warn, command="track first",
        open_destination=place.open,
    )  # fmt: skip
    sender.start()
    assert warned.wait(30)
    assert sender.close() == 0
    assert broken.raised == 1
    assert ["fails" in text for text in heard] == [True]
    assert [m.kind for m in place.received.values()][-1] == "search_ended"
    assert len(place.received) == NUM_MESSAGES


@pytest.mark.parametrize("call", CALLS)
def test_what_ends_the_thread_in_any_call_is_told_at_once_with_what_to_do(
    record: Recorded,
    store: TrackingStore,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    place, broken = Place(), Broken(call, SystemExit(3), always=True)
    break_call(place, monkeypatch, call, broken)
    heard: list[str] = []
    warned = threading.Event()

    def warn(text: str) -> None:
        heard.append(text)
        warned.set()

    whole_search(record)
    sender = Sender(
        record.database, record.search.id, store, warn=warn, command="track first",
        open_destination=place.open,
    )  # fmt: skip
    sender.start()
    assert warned.wait(30)
    assert "has stopped" in heard[0]
    assert "SystemExit(3)" in heard[0]
    assert "track first" in heard[0]
    place.fails = lambda call: None
    monkeypatch.undo()
    assert sender.close() > 0
    deliver(record.database, record.search.id, store, open_destination=place.open)
    assert len(place.received) == NUM_MESSAGES


def test_a_listener_that_fails_does_not_end_the_delivery(
    record: Recorded, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_ROUND_SECONDS", 0.01)
    asked = threading.Event()

    def warn(text: str) -> None:
        asked.set()
        raise BrokenPipeError("nobody listens")

    place = Place(fails=Broken("open", OSError("no"), always=False))
    whole_search(record)
    sender = Sender(
        record.database, record.search.id, store, warn=warn, command="track first",
        open_destination=place.open,
    )  # fmt: skip
    sender.start()
    assert asked.wait(30)
    assert sender.close() == 0
    assert len(place.received) == NUM_MESSAGES


def test_a_machine_without_room_for_a_thread_still_searches(
    record: Recorded, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    heard: list[str] = []
    record.start()
    sender = Sender(
        record.database, record.search.id, store, warn=heard.append, command="track first",
        open_destination=Place().open,
    )  # fmt: skip
    sender.start()
    assert sender.close() == 1
    assert "can't start new thread" in heard[0]
    assert "track first" in heard[1]


def test_a_store_that_is_replaced_under_a_sender_gets_everything_again(
    record: Recorded, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when nothing waits at that time: what was delivered is gone with the old store."""
    monkeypatch.setattr(sender_module, "_ROUND_SECONDS", 0.01)
    place = Place()
    heard: list[str] = []
    deliveries = Deliveries(record.database, record.search.id, store.key)
    idle = threading.Event()
    place.fails = lambda call: (
        idle.set() if call == "check" and not deliveries.count_waiting() else None
    )
    record.start()
    record.add_trial(0)
    sender = Sender(
        record.database, record.search.id, store, warn=heard.append, command="track first",
        open_destination=place.open,
    )  # fmt: skip
    sender.start()
    assert idle.wait(30)
    place.replace()
    assert sender.close() == 0
    assert [m.kind for m in place.received.values()] == ["search_started", "trial_started"]
    assert place.openings == 2
    assert len(heard) == 1
    assert "removed or replaced" in heard[0]


def test_nothing_counts_as_delivered_into_a_store_that_was_replaced_during_the_call(
    record: Recorded, store: TrackingStore
) -> None:
    whole_search(record)
    place = Place()
    sent = []

    def replaced_once(call: str) -> None:
        if call == "send":
            sent.append(call)
            if len(sent) == 5:
                place.replace()

    place.fails = replaced_once
    deliver(record.database, record.search.id, store, open_destination=place.open)
    assert len(place.received) == NUM_MESSAGES


def test_a_store_that_is_replaced_again_and_again_ends_with_a_sentence(
    record: Recorded, store: TrackingStore
) -> None:
    whole_search(record)
    place = Place()
    place.fails = lambda call: place.replace() if call == "send" else None
    with pytest.raises(UnfitError, match="removed or replaced again and again"):
        deliver(record.database, record.search.id, store, open_destination=place.open)


def test_a_store_that_lost_the_search_gets_it_again_although_nothing_waits(
    record: Recorded, store: TrackingStore
) -> None:
    whole_search(record)
    place = Place()
    deliver(record.database, record.search.id, store, open_destination=place.open)
    place.replace()
    again = deliver(record.database, record.search.id, store, open_destination=place.open)
    assert again.sent == NUM_MESSAGES == len(place.received)


def test_a_search_that_goes_from_store_to_store_and_back_is_whole_in_each(
    record: Recorded, tmp_path: Path
) -> None:
    """One shell without MLFLOW_TRACKING_URI is enough to make it so."""
    runs = RunsFolder(tmp_path / "runs")
    own, other = tracking_store(runs), tracking_store(runs, "http://127.0.0.1:1")
    places = {own.key: Place(), other.key: Place()}

    def driven(store: TrackingStore) -> None:
        sender = Sender(
            record.database, record.search.id, store, warn=print, command="track first",
            open_destination=places[store.key].open,
        )  # fmt: skip
        sender.start()
        assert sender.close() == 0

    record.start()
    record.add_trial(0)
    driven(own)
    record.add_trial(1)
    driven(other)
    record.add_trial(2)
    driven(own)
    assert {key: len(place.received) for key, place in places.items()} == {
        own.key: 4,
        other.key: 3,
    }
    states = delivery_states(record.database, record.search.id)
    assert [(s.destination, s.is_current, s.waiting) for s in states] == [
        (own.key, True, 0),
        (other.key, False, 1),
    ]
    lines = delivery_lines(states, "first", runs)
    assert len(lines) == 1
    assert lines[0].endswith("--tracking-uri http://127.0.0.1:1")
    assert "1 message not delivered" in lines[0]


def test_a_driver_and_a_command_deliver_to_different_stores_at_the_same_time(
    record: Recorded, tmp_path: Path
) -> None:
    runs = RunsFolder(tmp_path / "runs")
    own, other = tracking_store(runs), tracking_store(runs, "http://127.0.0.1:1")
    whole_search(record)
    assert SenderLease(record.database, record.search.id, own.key).hold()
    place = Place()
    delivery = deliver(record.database, record.search.id, other, open_destination=place.open)
    assert delivery.sent == NUM_MESSAGES
    with pytest.raises(BusyError):
        deliver(record.database, record.search.id, own, open_destination=place.open)
