"""What a tracking server is told of confirm runs and of the winner."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.record.cells import TrialComplexity
from archsearch.record.messages import SearchEnded, TrialStarted
from archsearch.tracking import notes
from archsearch.tracking import translation as translation
from tests import tracking_support
from tests.records import config_of
from tests.tracking_support import FINALIST, WINNER

SEARCH = {"search": "0" * 32, translation.UNIQUE_TAG: f"{'0' * 32}/search"}
ENTRY: dict[str, Any] = FINALIST | {
    "name": "WRN-22-1",
    "trial": 15,
    "runs": [20, 21],
    "completed": 2,
    "estimate": 0.98123,
    "interval": [0.97, 0.99],
}
ROW = {"number": 15, "name": "WRN-22-1", "family": "wrn", "val_accuracy": 0.99}
ENDED: dict[str, Any] = tracking_support.ENDED | {
    "leaderboard": [ROW],
    "confirmed": [ENTRY],
    "winner": WINNER | ENTRY | {"model_trial": 21, "test_accuracy": 0.975},
}


def note_of(told: dict[str, Any]) -> str:
    return notes.closing_note("opening", SearchEnded.model_validate(told), "first")


def test_a_confirm_run_is_a_child_run_with_its_own_name_and_arm() -> None:
    confirm = TrialStarted(
        family="wrn",
        name="WRN-22-1",
        arm="confirm",
        params={},
        config=config_of("WRN-22-1"),
        complexity=TrialComplexity(params=1, macs=1, activations=1),
    )
    tags = translation.trial_tags(SEARCH, 20, confirm)
    assert tags["mlflow.runName"] == "confirm-0020-WRN-22-1"
    assert tags["arm"] == "confirm"
    assert tags["trial"] == "20"
    searched = confirm.model_copy(update={"arm": "control"})
    name = translation.trial_tags(SEARCH, 20, searched)["mlflow.runName"]
    assert name == "trial-0020-WRN-22-1"


def test_the_note_has_the_finalists_and_names_the_winner() -> None:
    note = note_of(ENDED)
    assert "| 15 | WRN-22-1 | 0.9812 | 0.9700 to 0.9900 | 2 of 2 |" in note
    assert "**Winner: WRN-22-1** (trial 15); its network is run 21" in note
    assert "0.9750 of the test images right" in note
    unread = ENDED | {"winner": ENDED["winner"] | {"test_accuracy": None}}
    assert "test images" not in note_of(unread)
    failed = ENDED | {
        "confirmed": [ENTRY | {"estimate": None, "interval": None, "completed": 0}],
        "winner": None,
    }
    told = note_of(failed)
    assert "| 0 of 2 |" in told
    assert "Winner" not in told
    assert "Finalists" not in note_of(ENDED | {"confirmed": []})


def test_the_winners_figures_are_metrics_of_the_search() -> None:
    assert translation.winner_metrics(SearchEnded.model_validate(ENDED)) == pytest.approx(
        {"winner_val_accuracy": 0.98123, "winner_test_accuracy": 0.975}
    )
    assert translation.winner_metrics(SearchEnded.model_validate(tracking_support.ENDED)) == {}
