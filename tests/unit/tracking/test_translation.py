import math
from typing import Any

from archsearch.objective import ACCURACY
from archsearch.record.cells import SearchIdentity, TrialComplexity
from archsearch.record.messages import (
    EpochEnded,
    SearchEnded,
    SearchStarted,
    SystemMetrics,
    TrialEnded,
    TrialStarted,
)
from archsearch.record.settings import SearchSettings
from archsearch.schema import PreparedData
from archsearch.tracking import notes
from archsearch.tracking import translation as translation
from tests.records import config_of, result_of
from tests.tracking_support import DATA, ENDED, IDENTITY, SETTINGS, WINNER

SEARCH = SearchStarted(
    name="first",
    uuid="u" * 32,
    space_name="smoke",
    space={"description": "does it work?"},
    data=PreparedData.model_validate(DATA).description,
    identity=SearchIdentity.model_validate(IDENTITY),
    settings=SearchSettings.model_validate(SETTINGS),
    tags={"git_commit": "c0ffee", "note": "see http://ann:s3cret@host"},
)
TRIAL = TrialStarted(
    family="wrn",
    name="WRN-28-10",
    arm="sampler",
    params={"family": "wrn", "wrn/depth": 28, "training/dropout": 0.1, "wrn/dropout": 0.2},
    config=config_of("WRN-28-10"),
    complexity=TrialComplexity(params=36_000_000, macs=5_000_000_000, activations=1),
)
LOAD = SystemMetrics(
    worker="node-1/4711",
    cpu_percent=97.5,
    memory_percent=40.0,
    worker_memory_mib=700.0,
    gpu_percent=80.0,
)
ROW: dict[str, Any] = {
    "number": 1, "name": "WRN-16-2", "family": "wrn", "val_accuracy": 0.98765, "params": 1,
    "macs": 2,
}  # fmt: skip


def ended(**changes: Any) -> SearchEnded:
    return SearchEnded.model_validate(ENDED | changes)


def test_a_trials_run_is_named_so_that_runs_sort_by_number() -> None:
    assert translation.trial_run_name(7, "WRN-28-10") == "trial-0007-WRN-28-10"


def test_runs_carry_a_unique_tag_and_the_trial_the_searchs_lineage() -> None:
    search = translation.search_tags(SEARCH)
    trial = translation.trial_tags(search, 7, TRIAL)
    assert search[translation.UNIQUE_TAG] == "u" * 32 + "/search"
    assert trial[translation.UNIQUE_TAG] == "u" * 32 + "/trial-7"
    assert search["git_commit"] == trial["mlflow.source.git.commit"] == "c0ffee"
    assert search["data_digest"] == "d" * 64
    assert search["search"] == trial["search"] == "first"  # what people know it by
    assert translation.uuid_of(search) == translation.uuid_of(trial) == "u" * 32


def test_a_list_of_runs_has_few_columns() -> None:
    """MLflow offers a column for every parameter, metric and tag that is not its own."""
    trial = translation.trial_tags(translation.search_tags(SEARCH), 7, TRIAL)
    stopped = TrialEnded(outcome="stopped", reason="weak", rung_epochs=6)
    epoch = EpochEnded(epoch=1, result=result_of(), load=LOAD)
    tags = trial | translation.ending_tags(stopped) | translation.epoch_tags(epoch)
    assert len([name for name in tags if not name.startswith("mlflow.")]) <= 12


def test_no_secret_reaches_a_tag() -> None:
    assert "s3cret" not in str(translation.search_tags(SEARCH))


def test_parameters_of_all_families_share_columns_unless_a_name_says_two_things() -> None:
    params = translation.trial_params(TRIAL)
    assert params["depth"] == "28"
    assert params["wrn/dropout"] == "0.2"
    assert params["training/dropout"] == "0.1"


def test_digests_are_no_parameters() -> None:
    assert translation.search_params(SEARCH) == {
        "seed": "0",
        "max_epochs": "9",
        "objective": "val_accuracy",
    }


def test_there_are_at_most_fifteen_metric_names_and_none_is_not_finite() -> None:
    result = result_of(val_loss=math.nan, train_loss=math.inf, images=100, train_seconds=2.0)
    metrics = translation.epoch_metrics(EpochEnded(epoch=1, result=result))
    assert "val_loss" not in metrics
    assert "train_loss" not in metrics
    assert metrics["images_per_second"] == 50.0
    names = {*translation.EPOCH_METRICS, *translation.trial_sizes(TRIAL), "images_per_second"}
    assert set(metrics) < names
    assert len(names | set(translation.SYSTEM_METRICS.values())) <= 15


def test_what_a_worker_asked_of_its_machine_is_on_mlflows_page_of_system_metrics() -> None:
    told = EpochEnded(epoch=1, result=result_of(), load=LOAD)
    metrics = translation.epoch_metrics(told)
    assert {key: value for key, value in metrics.items() if key.startswith("system/")} == {
        "system/cpu_utilization_percentage": 97.5,
        "system/system_memory_usage_percentage": 40.0,
        "system/worker_memory_usage_mebibytes": 700.0,
        "system/gpu_utilization_percentage": 80.0,
    }
    assert translation.epoch_tags(told) == {"worker": "node-1/4711"}
    load = LOAD.model_copy(update={"gpu_name": "NVIDIA H100 80GB HBM3"})
    assert translation.epoch_tags(told.model_copy(update={"load": load})) == {
        "worker": "node-1/4711",
        "gpu": "NVIDIA H100 80GB HBM3",
    }


def test_an_epoch_of_before_there_were_samples_reads_on() -> None:
    told = EpochEnded(epoch=1, result=result_of())
    assert not any(key.startswith("system/") for key in translation.epoch_metrics(told))
    assert translation.epoch_tags(told) == {}


def test_the_result_is_the_notes_first_line_however_often_it_changes() -> None:
    winner = WINNER | {"test_accuracy": 0.97}
    note = notes.opening_note(SEARCH)
    for payload, result in (
        (ended(), "**Result:** no trial was trained to the end."),
        (ended(leaderboard=[ROW]), "validation accuracy 0.9877 after all epochs."),
        (ended(leaderboard=[ROW], winner=winner), "0.9700 of the test images right."),
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
    opening = notes.opening_note(SEARCH)
    once = notes.closing_note(opening, ended(ending="interrupted"), "first")
    twice = notes.closing_note(once, ended(leaderboard=[ROW] * 500), "first")
    assert "no trial was trained to the end" in once
    assert "interrupted" not in twice
    assert "python -m pipeline.promote first" in twice
    assert "480 more" in twice
    assert len(twice) < 5000


def test_long_texts_are_cut_to_what_servers_take() -> None:
    assert len(translation.as_tags({"reason": "x" * 20_000})["reason"]) <= 5000


def test_a_saved_view_is_as_long_as_servers_take() -> None:
    assert all(len(view) <= 5000 for view in translation.experiment_tags(ACCURACY).values())
