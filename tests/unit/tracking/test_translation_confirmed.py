"""What a tracking server is told of confirm runs and of the winner."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.record.outbox import Message
from archsearch.tracking import notes
from archsearch.tracking import translation as translation

SEARCH = {"search": "0" * 32, translation.UNIQUE_TAG: f"{'0' * 32}/search"}
ENTRY: dict[str, Any] = {
    "name": "WRN-22-1",
    "trial": 15,
    "runs": [20, 21],
    "completed": 2,
    "estimate": 0.98123,
    "interval": [0.97, 0.99],
}
ROW = {"number": 15, "name": "WRN-22-1", "family": "wrn", "val_accuracy": 0.99}
ENDED: dict[str, Any] = {
    "ending": "finished",
    "leaderboard": [ROW],
    "confirmed": [ENTRY],
    "winner": ENTRY | {"model_trial": 21, "test_accuracy": 0.975},
}


def test_a_confirm_run_is_a_child_run_with_its_own_name_and_arm() -> None:
    payload = {"family": "wrn", "name": "WRN-22-1", "arm": "confirm"}
    message = Message(id=1, kind="trial_started", number=20, payload=payload, created_ms=0)
    tags = translation.trial_tags(SEARCH, message)
    assert tags["mlflow.runName"] == "confirm-0020-WRN-22-1"
    assert tags["arm"] == "confirm"
    assert tags["trial"] == "20"
    searched = Message(1, "trial_started", 20, payload | {"arm": "control"}, 0)
    name = translation.trial_tags(SEARCH, searched)["mlflow.runName"]
    assert name == "trial-0020-WRN-22-1"


def test_the_note_has_the_finalists_and_names_the_winner() -> None:
    note = notes.closing_note("opening", ENDED, "first")
    assert "| 15 | WRN-22-1 | 0.9812 | 0.9700 to 0.9900 | 2 of 2 |" in note
    assert "**Winner: WRN-22-1** (trial 15); its network is run 21" in note
    assert "0.9750 of the test images right" in note
    unread = ENDED | {"winner": ENDED["winner"] | {"test_accuracy": None}}
    assert "test images" not in notes.closing_note("opening", unread, "first")
    failed = ENDED | {
        "confirmed": [ENTRY | {"estimate": None, "interval": None, "completed": 0}],
        "winner": None,
    }
    told = notes.closing_note("opening", failed, "first")
    assert "| 0 of 2 |" in told
    assert "Winner" not in told
    assert "Finalists" not in notes.closing_note("opening", ENDED | {"confirmed": []}, "first")


def test_the_winners_figures_are_metrics_of_the_search() -> None:
    assert translation.winner_metrics(ENDED) == pytest.approx(
        {"winner_val_accuracy": 0.98123, "winner_test_accuracy": 0.975}
    )
    assert translation.winner_metrics({"leaderboard": []}) == {}
