from typing import Any

from archsearch.record.outbox import Message
from archsearch.tracking import wording

SEARCH: dict[str, Any] = {
    "name": "first",
    "uuid": "u" * 32,
    "space_name": "smoke",
    "space": {"description": "does it work?"},
    "data": {"name": "digits", "digest": "d" * 64, "num_train": 10},
    "identity": {"seed": 0, "space": "a" * 64, "train_size": None},
    "settings": {},
    "tags": {"git_commit": "c0ffee", "note": "see http://ann:s3cret@host"},
}
TRIAL: dict[str, Any] = {
    "family": "wrn",
    "name": "WRN-28-10",
    "arm": "sampler",
    "params": {"family": "wrn", "wrn/depth": 28, "training/dropout": 0.1, "wrn/dropout": 0.2},
    "config": {},
    "complexity": {"params": 36_000_000, "macs": 5_000_000_000, "activations": 1},
}


def test_a_trials_run_is_named_so_that_runs_sort_by_number() -> None:
    assert wording.trial_run_name(7, "WRN-28-10") == "trial-0007-WRN-28-10"


def test_runs_carry_a_unique_tag_and_the_trial_the_searchs_lineage() -> None:
    search = wording.search_tags(SEARCH)
    trial = wording.trial_tags(search, Message(1, "trial_started", 7, TRIAL, 0))
    assert search[wording.UNIQUE_TAG] == "u" * 32 + "/search"
    assert trial[wording.UNIQUE_TAG] == "u" * 32 + "/trial-7"
    assert trial["git_commit"] == trial["mlflow.source.git.commit"] == "c0ffee"
    assert trial["data_digest"] == "d" * 64


def test_no_secret_reaches_a_tag() -> None:
    assert "s3cret" not in str(wording.search_tags(SEARCH))


def test_parameters_of_all_families_share_columns_unless_a_name_says_two_things() -> None:
    params = wording.trial_params(TRIAL)
    assert params["depth"] == "28"
    assert params["wrn/dropout"] == "0.2"
    assert params["training/dropout"] == "0.1"


def test_digests_are_no_parameters() -> None:
    assert wording.search_params(SEARCH) == {"seed": "0"}


def test_there_are_at_most_fifteen_metric_names_and_none_is_not_finite() -> None:
    result = dict.fromkeys(wording.EPOCH_METRICS, 0.5) | {
        "val_loss": None,
        "train_loss": float("inf"),
        "images": 100,
        "train_seconds": 2.0,
        "something_else": 1.0,
    }
    metrics = wording.epoch_metrics({"epoch": 1, "result": result})
    assert "val_loss" not in metrics
    assert "train_loss" not in metrics
    assert metrics["images_per_second"] == 50.0
    names = {*wording.EPOCH_METRICS, *wording.trial_sizes(TRIAL), "images_per_second"}
    assert len(names) <= 15
    assert set(metrics) < names


def test_every_outcome_has_a_status() -> None:
    from archsearch.record.trial import OUTCOMES

    assert set(wording.STATUS) == set(OUTCOMES)


def test_the_note_stays_short_and_is_replaced_when_a_search_ends_again() -> None:
    row = {"number": 1, "name": "n", "family": "wrn", "val_accuracy": 0.5, "params": 1, "macs": 2}
    opening = wording.opening_note(SEARCH)
    once = wording.closing_note(opening, {"ending": "interrupted", "leaderboard": []}, "first")
    twice = wording.closing_note(once, {"ending": "finished", "leaderboard": [row] * 500}, "first")
    assert "No trial was trained to the end" in once
    assert "interrupted" not in twice
    assert "python -m pipeline.promote first" in twice
    assert "480 more" in twice
    assert len(twice) < 5000


def test_long_texts_are_cut_to_what_servers_take() -> None:
    assert len(wording.as_tags({"reason": "x" * 20_000})["reason"]) <= 5000
