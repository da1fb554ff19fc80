from typing import Any

from archsearch.record.outbox import Message
from archsearch.tracking import notes
from archsearch.tracking import translation as translation

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


LOAD: dict[str, Any] = {
    "worker": "node-1/4711",
    "cpu_percent": 97.5,
    "memory_percent": 40.0,
    "worker_memory_mib": 700.0,
    "gpu_percent": 80.0,
    "gpu_memory_mib": None,
}


def test_a_trials_run_is_named_so_that_runs_sort_by_number() -> None:
    assert translation.trial_run_name(7, "WRN-28-10") == "trial-0007-WRN-28-10"


def test_runs_carry_a_unique_tag_and_the_trial_the_searchs_lineage() -> None:
    search = translation.search_tags(SEARCH)
    trial = translation.trial_tags(search, Message(1, "trial_started", 7, TRIAL, 0))
    assert search[translation.UNIQUE_TAG] == "u" * 32 + "/search"
    assert trial[translation.UNIQUE_TAG] == "u" * 32 + "/trial-7"
    assert search["git_commit"] == trial["mlflow.source.git.commit"] == "c0ffee"
    assert search["data_digest"] == "d" * 64
    assert search["search"] == trial["search"] == "first"  # what people know it by
    assert translation.uuid_of(search) == translation.uuid_of(trial) == "u" * 32


def test_a_list_of_runs_has_few_columns() -> None:
    """MLflow offers a column for every parameter, metric and tag that is not its own."""
    trial = translation.trial_tags(
        translation.search_tags(SEARCH), Message(1, "trial_started", 7, TRIAL, 0)
    )
    ending = translation.ending_tags({"outcome": "stopped", "reason": "weak", "rung_epochs": 6})
    tags = trial | ending | translation.epoch_tags({"load": LOAD})
    assert len([name for name in tags if not name.startswith("mlflow.")]) <= 12


def test_no_secret_reaches_a_tag() -> None:
    assert "s3cret" not in str(translation.search_tags(SEARCH))


def test_parameters_of_all_families_share_columns_unless_a_name_says_two_things() -> None:
    params = translation.trial_params(TRIAL)
    assert params["depth"] == "28"
    assert params["wrn/dropout"] == "0.2"
    assert params["training/dropout"] == "0.1"


def test_digests_are_no_parameters() -> None:
    assert translation.search_params(SEARCH) == {"seed": "0"}


def test_there_are_at_most_fifteen_metric_names_and_none_is_not_finite() -> None:
    result = dict.fromkeys(translation.EPOCH_METRICS, 0.5) | {
        "val_loss": None,
        "train_loss": float("inf"),
        "images": 100,
        "train_seconds": 2.0,
        "something_else": 1.0,
    }
    metrics = translation.epoch_metrics({"epoch": 1, "result": result})
    assert "val_loss" not in metrics
    assert "train_loss" not in metrics
    assert metrics["images_per_second"] == 50.0
    names = {*translation.EPOCH_METRICS, *translation.trial_sizes(TRIAL), "images_per_second"}
    assert set(metrics) < names
    assert len(names | set(translation.SYSTEM_METRICS.values())) <= 15


def test_what_a_worker_asked_of_its_machine_is_on_mlflows_page_of_system_metrics() -> None:
    metrics = translation.epoch_metrics({"epoch": 1, "result": {}, "load": LOAD})
    assert metrics == {
        "system/cpu_utilization_percentage": 97.5,
        "system/system_memory_usage_percentage": 40.0,
        "system/worker_memory_usage_mebibytes": 700.0,
        "system/gpu_utilization_percentage": 80.0,
    }
    assert translation.epoch_tags({"load": LOAD}) == {"worker": "node-1/4711"}
    on_gpu = {"load": LOAD | {"gpu_name": "NVIDIA H100 80GB HBM3"}}
    assert translation.epoch_tags(on_gpu) == {
        "worker": "node-1/4711",
        "gpu": "NVIDIA H100 80GB HBM3",
    }


def test_an_epoch_of_before_there_were_samples_reads_on() -> None:
    for payload in ({"epoch": 1, "result": {}}, {"epoch": 1, "result": {}, "load": None}):
        assert translation.epoch_metrics(payload) == {}
        assert translation.epoch_tags(payload) == {}


def test_the_result_is_the_notes_first_line_however_often_it_changes() -> None:
    row = {"number": 1, "name": "WRN-16-2", "val_accuracy": 0.98765, "family": "wrn"}
    winner = {"name": "WRN-16-2", "trial": 1, "estimate": 0.981, "test_accuracy": 0.97}
    note = notes.opening_note(SEARCH)
    for payload, result in (
        ({"leaderboard": []}, "**Result:** no trial was trained to the end."),
        ({"leaderboard": [row]}, "validation accuracy 0.9877 after all epochs."),
        ({"leaderboard": [row], "winner": winner}, "0.9700 of the test images right."),
    ):
        note = notes.closing_note(note, payload, "first")
        first, _, rest = note.partition("\n\n")
        assert first.endswith(result)
        assert rest.startswith("**first** asks: does it work?")
        assert "**Result:**" not in rest


def test_every_outcome_has_a_status() -> None:
    from archsearch.record.trial import OUTCOMES

    assert set(translation.STATUS) == set(OUTCOMES)


def test_the_note_stays_short_and_is_replaced_when_a_search_ends_again() -> None:
    row = {"number": 1, "name": "n", "family": "wrn", "val_accuracy": 0.5, "params": 1, "macs": 2}
    opening = notes.opening_note(SEARCH)
    once = notes.closing_note(opening, {"ending": "interrupted", "leaderboard": []}, "first")
    twice = notes.closing_note(once, {"ending": "finished", "leaderboard": [row] * 500}, "first")
    assert "no trial was trained to the end" in once
    assert "interrupted" not in twice
    assert "python -m pipeline.promote first" in twice
    assert "480 more" in twice
    assert len(twice) < 5000


def test_long_texts_are_cut_to_what_servers_take() -> None:
    assert len(translation.as_tags({"reason": "x" * 20_000})["reason"]) <= 5000


def test_a_saved_view_is_as_long_as_servers_take() -> None:
    assert all(len(view) <= 5000 for view in translation.EXPERIMENT_TAGS.values())
