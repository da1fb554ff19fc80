"""Every objective is served by the same code: one value is all that another one takes.

`LOSS` is minimised and has no bounds. Its curves here are the mirror images of the accuracies, so
a search for low losses must decide as one for high accuracies, trial by trial.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import objective as objectives
from archsearch.analysis.audit import audit
from archsearch.analysis.finalists import confirmed, winner_model
from archsearch.analysis.pareto import front_of
from archsearch.analysis.verdict import verdict
from archsearch.driver.run import run_search
from archsearch.errors import UnfitError
from archsearch.halving.decision import Decision, standing
from archsearch.objective import ACCURACY, OBJECTIVES, Objective, objective_named
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.report.opened_search import open_search
from archsearch.search.events import EpochFinished, Event, as_json
from archsearch.search.request import SearchRequest
from archsearch.spaces import space as spaces
from archsearch.tracking import translation
from tests.cli_support import call_here
from tests.search_support import NO_TRACKING, SyntheticRunner

LOSS = Objective(
    metric="val_loss",
    direction="minimize",
    bounds=None,
    name="validation loss",
    short="loss",
    plural="losses",
    where="validation images",
    meaning="mean loss of the validation images, in nats",
    shortfall="loss",
)
every_objective = pytest.mark.parametrize("objective", [*OBJECTIVES.values(), LOSS])
values = st.floats(0, 1)


@pytest.fixture
def loss_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that has one objective more."""
    known = MappingProxyType({**OBJECTIVES, LOSS.metric: LOSS})
    for module in (objectives, spaces):
        monkeypatch.setattr(module, "OBJECTIVES", known)


# the type


@every_objective
@given(first=values, second=values)
def test_better_scores_keys_and_the_best_agree(
    objective: Objective, first: float, second: float
) -> None:
    is_better = objective.is_better(first, second)
    assert is_better == (objective.score(first) > objective.score(second))
    assert is_better == (objective.sort_key(first) < objective.sort_key(second))
    best = objective.best([first, second])
    assert best is not None
    assert not objective.is_better(first, best)
    assert not objective.is_better(second, best)
    assert objective.value_of(objective.score(first)) == first
    assert objective.sort_key(None) > objective.sort_key(first)
    worse, better = sorted((first, second), key=objective.score)
    assert objective.shortfall_of(objective.score(better)) <= objective.shortfall_of(
        objective.score(worse)
    )


def test_an_accuracy_has_bounds_and_an_error_and_a_loss_has_neither() -> None:
    assert [ACCURACY.clip(value) for value in (-0.1, 0.3, 1.2)] == [0.0, 0.3, 1.0]
    assert LOSS.clip(7.0) == 7.0
    assert ACCURACY.shortfall_of(ACCURACY.score(0.9)) == pytest.approx(0.1)
    assert LOSS.shortfall_of(LOSS.score(2.5)) == 2.5
    assert (ACCURACY.format(0.98765), LOSS.format(None)) == ("0.9877", "–")


def test_an_objective_of_a_newer_release_is_not_guessed() -> None:
    assert objective_named("val_accuracy") is ACCURACY
    with pytest.raises(UnfitError, match="does not know the objective 'val_f1'"):
        objective_named("val_f1")


@given(value=values, others=st.lists(values, max_size=20))
def test_rungs_keep_the_lowest_losses_where_they_keep_the_highest_accuracies(
    value: float, others: list[float]
) -> None:
    mirrored = standing(-value, [-other for other in others], 3, LOSS)
    assert standing(value, others, 3, ACCURACY) == mirrored
    assert standing(math.nextafter(0, -1), [1.0, 2.0], 2, LOSS).decision is Decision.CONTINUE


# a whole search


def searched(request: SearchRequest, told: list[Event]) -> list[TrialRecord]:
    return run_search(request, told.append, run_trials=SyntheticRunner(num_slots=2)).trials


def decisions(trials: list[TrialRecord]) -> list[tuple[Any, ...]]:
    return [
        (t.arm, t.params, t.config.seed, t.outcome, t.rung_epochs, t.shadow_rung_epochs)
        for t in trials
    ]


@pytest.fixture
def pair(
    request_in: SearchRequest, tmp_path: Path, loss_is_known: None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The same search for high accuracies and for low losses, trials and events."""
    from tests import search_support
    from tests.records import result_of

    def mirrored(accuracy: float, epoch: int, **changes: Any) -> Any:
        return result_of(accuracy, epoch, **changes | {"val_loss": 1 - accuracy})

    monkeypatch.setattr(search_support, "result_of", mirrored)
    file = tmp_path / "losses.yaml"
    file.write_text(Path(request_in.space).read_text() + "\nobjective: val_loss\n")
    fields = {"trials": 24, "tracking_uri": NO_TRACKING, "random_share": 0.4, "confirm": "2x2"}
    found: dict[str, Any] = {"runs": request_in.runs_dir}
    for name, space in (("accuracy", request_in.space), ("loss", str(file))):
        told: list[Event] = []
        request = request_in.model_copy(update={**fields, "name": name, "space": space})
        found[name] = (searched(request, told), told)
    return found


def test_it_decides_as_its_mirror_image_does(pair: dict[str, Any]) -> None:
    (high, _), (low, told) = pair["accuracy"], pair["loss"]
    assert all(trial.objective is LOSS for trial in low)
    assert decisions(low) == decisions(high)
    assert [t.number for t in leaderboard(low)] == [t.number for t in leaderboard(high)]
    losses = [trial.value for trial in leaderboard(low) if trial.value is not None]
    assert losses == sorted(losses)
    for cost in ("params", "macs"):
        fronts = [[t.number for t in front_of(trials, cost)] for trials in (low, high)]
        assert fronts[0] == fronts[1]
    lows, highs = audit(low, (1, 3), 3), audit(high, (1, 3), 3)
    assert [one.num_wrongly_stopped for one in lows.values()] == [
        one.num_wrongly_stopped for one in highs.values()
    ]
    for trials, metric in ((low, "val_loss"), (high, "val_accuracy")):
        bests = [one["best"] for one in verdict(trials).as_json()["families"].values()]
        assert bests
        assert all(set(best) == {"number", "name", "arm", metric} for best in bests)
    pairs = [[p.share for p in verdict(trials).pairs] for trials in (low, high)]
    assert pairs[0] == pairs[1]
    finalists = [confirmed(trials) for trials in (low, high)]
    assert [c.finalist.number for c in finalists[0]] == [c.finalist.number for c in finalists[1]]
    for ours, theirs in zip(*finalists, strict=True):
        assert ours.estimate is not None
        assert theirs.estimate is not None
        assert ours.estimate.estimate == pytest.approx(1 - theirs.estimate.estimate)
        assert ours.estimate.low <= ours.estimate.estimate <= ours.estimate.high
        assert ours.probability_best == pytest.approx(theirs.probability_best)
    models = [winner_model(trials) for trials in (low, high)]
    assert [model and model.number for model in models] == [models[0] and models[0].number] * 2
    epoch = next(event for event in told if isinstance(event, EpochFinished))
    assert as_json(epoch)["val_loss"] == epoch.value
    assert "val_accuracy" not in as_json(epoch)


def test_it_is_shown_in_its_own_words(pair: dict[str, Any]) -> None:
    runs = pair["runs"]
    status = call_here("status", "loss", "--json", "--runs-dir", runs)
    assert status.code == 0, status.err
    assert '"val_loss"' in status.out
    assert '"search_val_loss"' in status.out
    assert '"val_accuracy": ' not in status.out
    assert "by loss on validation images" in call_here("status", "loss", "--runs-dir", runs).out
    report = call_here("report", "loss", "--runs-dir", runs)
    assert report.code == 0, report.err
    text = (runs / "loss" / "report.md").read_text()
    assert "Fully trained trials by loss on validation images" in text
    assert "accuracy on validation images" not in text
    opened = open_search("loss", runs)
    assert opened.trials.column("val_loss").to_pylist() == [t.value for t in pair["loss"][0]]
    assert opened.figure("learning_curves").layout.yaxis.title.text == "Loss on validation images"
    assert all(figure.plot is not None for figure in opened.figures.values())


def test_mlflow_sorts_by_it_in_its_direction() -> None:
    tags = translation.experiment_tags(LOSS)
    assert tags["mlflow.experiment.primaryMetric.name"] == "val_loss"
    assert tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "False"
    assert (
        translation.experiment_tags(ACCURACY)["mlflow.experiment.primaryMetric.greaterIsBetter"]
        == "True"
    )
    assert replace(LOSS, decimals=2).format(0.5) == "0.50"
