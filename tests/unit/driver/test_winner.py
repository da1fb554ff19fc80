"""A small real search to its end: the winner's network answers the test split, once."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.data import PreparedData, load_test
from archsearch.driver.result import SearchResult
from archsearch.driver.run import run_search
from archsearch.driver.signals import InterruptedSearchError
from archsearch.engine.in_process import run_in_process
from archsearch.errors import UnfitError
from archsearch.promotion import promote as promotion
from archsearch.record import test_split
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import WinnerRead
from archsearch.record.outbox import Message
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search
from archsearch.record.readings import TestReading, read_readings
from archsearch.record.status import search_status
from archsearch.search.events import Event, TrialStarted, WarningNotice, WinnerFound
from archsearch.search.request import SearchRequest
from archsearch.tracking.notes import closing_note
from archsearch.tracking.store import tracking_store
from tests.cli_support import call_here
from tests.search_support import NO_TRACKING


@dataclass
class Searched:
    """A finished search in a folder of its own."""

    request: SearchRequest
    events: list[Event] = field(default_factory=list)

    def run(self, **options: Any) -> SearchResult:
        self.events.clear()
        return run_search(self.request, self.events.append, run_trials=run_in_process, **options)

    @property
    def name(self) -> str:
        (name,) = RunsFolder(self.request.runs_dir).names()
        return name

    def readings(self) -> list[TestReading]:
        path = RunsFolder(self.request.runs_dir).search(self.name).database
        database = Database.open(path, create=False)
        try:
            return read_readings(database, get_search(database, self.name).id)
        finally:
            database.close()

    def messages(self, kind: str) -> list[Message]:
        path = RunsFolder(self.request.runs_dir).search(self.name).database
        database = Database.open(path, create=False)
        try:
            outbox = Deliveries(database, get_search(database, self.name).id, "default")
            return [message for message in outbox.waiting(10_000) if message.kind == kind]
        finally:
            database.close()

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory, data_cache: Path) -> Path:
    """A search whose trials and confirm runs have ended, and which a signal ended then."""
    runs = tmp_path_factory.mktemp("unread") / "runs"
    runs.mkdir()
    (runs / "data").symlink_to(data_cache)
    searched = Searched(request_for(runs))

    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_split, "read_test_split", interrupted)
        with pytest.raises(InterruptedSearchError) as ending:
            searched.run()
    assert ending.value.exit_code == 143
    assert not searched.readings()
    left = status_of(searched)
    assert (left.state, left.search.ending) == ("interrupted", "interrupted")
    return runs


def request_for(runs: Path) -> SearchRequest:
    return SearchRequest(
        space="smoke",
        trials=2,
        max_epochs=1,
        confirm="2x2",
        runs_dir=runs,
        tracking_uri=NO_TRACKING,
    )


@pytest.fixture
def searched(unread: Path, tmp_path: Path) -> Searched:
    """A copy of it, which a test may change."""
    shutil.copytree(unread, tmp_path / "runs", symlinks=True)
    return Searched(request_for(tmp_path / "runs"))


@pytest.fixture
def predictions_made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry each time that a network answers a split."""
    from archsearch.training import predict as module

    made: list[object] = []
    real: Callable[..., Any] = module.predict

    def counted(*args: Any, **options: Any) -> Any:
        made.append(args)
        return real(*args, **options)

    monkeypatch.setattr(module, "predict", counted)
    return made


def test_the_test_split_is_read_once_by_the_winners_network(
    searched: Searched, predictions_made: list[object]
) -> None:
    result = searched.run()
    assert result.exit_code == 0
    assert result.finished
    assert not searched.told(TrialStarted)
    (reading,) = searched.readings()
    winner = result.winner
    assert winner is not None
    assert winner.reading is not None
    assert reading.subject.number == winner.model.number
    assert winner.model in winner.confirmed.completed
    assert reading.subject.checksum == winner.model.epochs[-1].checksum
    # The labels come from the data, not from what was recorded.
    prepared = status_of(searched).search.settings.data
    labels = load_test(PreparedData.model_validate(prepared)).labels.numpy()
    assert reading.accuracy == pytest.approx(np.mean(reading.predictions == labels))
    assert len(predictions_made) == 1
    (told,) = searched.told(WinnerFound)
    assert told.winner["test_accuracy"] == pytest.approx(reading.accuracy)

    again = searched.run()
    assert len(predictions_made) == 1
    assert again.winner is not None
    assert again.winner.reading is not None
    assert np.array_equal(again.winner.reading.predictions, reading.predictions)
    assert not searched.told(WinnerFound)


def status_of(searched: Searched) -> Any:
    return search_status(RunsFolder(searched.request.runs_dir), searched.name)


def test_a_second_reading_is_forced_and_recorded_and_replaces_nothing(searched: Searched) -> None:
    first = searched.run().winner
    again = searched.run(read_test_again=True).winner
    assert first is not None
    assert again is not None
    assert [reading.forced for reading in searched.readings()] == [False, True]
    assert again.reading is not None
    assert first.reading is not None
    assert again.reading.created_ms == first.reading.created_ms
    assert again.num_models_read == 1
    # The first reading that there is at all is not forced, whatever was asked for.
    assert not searched.readings()[0].forced


def test_a_winner_without_its_checkpoint_costs_a_warning_and_is_read_later(
    searched: Searched, tmp_path: Path
) -> None:
    trials = searched.request.runs_dir / searched.name / "trials"
    trials.rename(tmp_path / "elsewhere")
    result = searched.run()
    assert result.exit_code == 0
    assert result.winner is not None
    assert result.winner.reading is None
    (warned,) = (w for w in searched.told(WarningNotice) if "test split" in w.text)
    assert "the same command tries again" in warned.text
    (tmp_path / "elsewhere").rename(trials)
    assert searched.messages("winner_read") == []
    mended = searched.run().winner
    assert mended is not None
    assert mended.reading is not None
    # Tracking was told that the search ended without it, so it is told of it now: once.
    (message,) = searched.messages("winner_read")
    assert isinstance(message.payload, WinnerRead)
    assert message.payload.winner == mended.as_row()
    assert mended.test_accuracy is not None
    assert f"{mended.test_accuracy.estimate:.4f} of the test images right" in closing_note(
        "", message.payload, searched.name
    )
    searched.run(read_test_again=True)
    assert len(searched.messages("winner_read")) == 1


def test_the_winners_network_is_what_is_promoted(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = searched.run().winner
    assert model is not None
    numbers: list[int | None] = []

    def found(*arguments: Any) -> None:
        numbers.append(arguments[-1])
        raise UnfitError("that is enough")

    monkeypatch.setattr(promotion, "find_candidate", found)
    runs = RunsFolder(searched.request.runs_dir)
    database = Database.open(runs.search(searched.name).database, create=False)
    search = get_search(database, searched.name)
    for trial in (None, 0):
        with pytest.raises(UnfitError, match="that is enough"):
            promotion.promote(
                database,
                search,
                runs,
                tracking_store(runs, NO_TRACKING),
                promotion.PromotionRequest(trial=trial),
            )
    database.close()
    assert numbers == [model.model.number, 0]


def test_commands_show_the_winner_and_use_its_network(searched: Searched, tmp_path: Path) -> None:
    runs = searched.request.runs_dir
    before = call_here("status", searched.name, "--runs-dir", runs)
    assert "test split: not read yet" in before.out
    winner = searched.run().winner
    assert winner is not None
    told = call_here("status", searched.name, "--runs-dir", runs)
    assert (
        f"Winner: {winner.confirmed.name} (trial {winner.confirmed.finalist.number})" in told.out
    )
    assert "2 trials (2 completed), 4 confirm runs" in told.out
    answer = call_here("status", searched.name, "--runs-dir", runs, "--json")
    as_json = json.loads(answer.out)
    assert as_json["winner"]["model_trial"] == winner.model.number
    assert winner.reading is not None
    assert as_json["winner"]["test_accuracy"] == pytest.approx(winner.reading.accuracy)
    assert len(as_json["confirmed"]) == 2
    assert as_json["outcomes"] == {"completed": 2}
    exported = call_here(
        "export", searched.name, "--format", "pt2", "--runs-dir", runs, "--json",
        "--output", tmp_path / "model.pt2",
    )  # fmt: skip
    assert exported.code == 0, exported.err
    assert f"trial {winner.model.number} of search" in json.loads(exported.out)["weights"]
