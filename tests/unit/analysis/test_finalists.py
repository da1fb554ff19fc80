"""Which trials are finalists, what their confirm runs say, and whose network is the winner's."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.analysis.finalists import (
    ConfirmSpec,
    confirmed,
    finalists,
    is_confirmed,
    missing_runs,
    parse_confirm,
    winner,
    winner_model,
)
from archsearch.analysis.winner import model_number, standing_lines
from archsearch.errors import UsageError
from archsearch.objective import ACCURACY
from archsearch.record.cells import TrialComplexity
from archsearch.record.trial import EpochRecord, TrialRecord
from tests.records import config_of, result_of

SPEC = ConfirmSpec(num_best=2, num_seeds=2)


def trial(number: int, accuracy: float | None = None, **changes: Any) -> TrialRecord:
    """A completed trial, or what `changes` make of it; its digest follows from its name."""
    family = changes.pop("family", "wrn")
    name = changes.pop("name", f"{family}-{number}")
    macs, val_loss = changes.pop("macs", 100), changes.pop("val_loss", 0.5)
    epochs = []
    if accuracy is not None:
        result = result_of(accuracy, val_loss=val_loss)
        epochs = [EpochRecord(1, 1, accuracy, result, "e0001-a1.ckpt", "00", 0, number)]
    fields: dict[str, Any] = {
        "number": number,
        "objective": ACCURACY,
        "family": family,
        "name": name,
        "arm": "sampler",
        "params": {},
        "config": config_of("WRN-10-1"),
        "config_digest": name,
        "complexity": TrialComplexity(params=1000, macs=macs, activations=10),
        "outcome": "completed" if accuracy is not None else None,
        "reason": "trained for its one epoch",
        "rung_epochs": None,
        "shadow_rung_epochs": None,
        "created_ms": 0,
        "finished_ms": 0,
        "attempts": {1: "finished"},
        "epochs": epochs,
    }
    return TrialRecord(**fields | changes)


def run_of(finalist: TrialRecord, number: int, accuracy: float | None, **changes: Any) -> Any:
    """A confirm run of a finalist."""
    return trial(
        number,
        accuracy,
        name=finalist.name,
        family=finalist.family,
        macs=finalist.complexity.macs,
        arm="confirm",
        **changes,
    )


@pytest.mark.parametrize(
    ("text", "spec"),
    [("3x3", ConfirmSpec(3, 3)), ("2×5", ConfirmSpec(2, 5)), ("100x1", ConfirmSpec(100, 1))],
)
def test_a_spec_is_read(text: str, spec: ConfirmSpec) -> None:
    assert parse_confirm(text) == spec
    assert parse_confirm(str(spec)) == spec


@pytest.mark.parametrize("text", ["", "3", "0x3", "3x0", "x", "3x3x3", "-1x2", "101x1", "None"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="FINALISTSxSEEDS such as 3x3"):
        parse_confirm(text)


def test_the_best_come_first_then_each_familys_best_at_matched_cost() -> None:
    trials = [
        trial(0, 0.90, family="wrn", macs=300),
        trial(1, 0.95, family="wrn", macs=900),
        trial(2, 0.80, family="resnext", macs=400),
        trial(3, 0.85, family="resnext", macs=350),
        trial(4, 0.93, family="wrn", macs=800),
        trial(5, 0.99, family="resnext", outcome="stopped"),
        trial(6, None, family="wrn"),
        run_of(trial(3, 0.85, family="resnext"), 7, 0.999),
    ]
    # All families have reached 400 MACs: within it trial 0 is the best of wrn, not trial 1.
    assert [t.number for t in finalists(trials, SPEC)] == [1, 4, 0, 3]
    assert [t.number for t in finalists(trials, ConfirmSpec(3, 1))] == [1, 4, 0, 3]
    assert [t.number for t in finalists(trials[:2], ConfirmSpec(1, 1))] == [1]
    assert finalists([], SPEC) == []


def test_every_finalist_has_its_first_run_before_any_has_its_second() -> None:
    first, second = trial(0, 0.9), trial(1, 0.8)
    missing = missing_runs([first, second], SPEC)
    assert [(t.number, r) for t, r in missing] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    some = [first, second, run_of(first, 2, 0.9), run_of(second, 3, None, outcome="diverged")]
    assert [(t.number, r) for t, r in missing_runs(some, SPEC)] == [(0, 1), (1, 1)]
    assert missing_runs(some, None) == []
    assert not is_confirmed(some, SPEC)
    assert not is_confirmed([first, second], None)
    everything = [*some, run_of(first, 4, 0.9), run_of(second, 5, 0.8)]
    assert is_confirmed(everything, SPEC)
    assert not is_confirmed([*everything[:-1], run_of(second, 5, None)], SPEC)


def test_the_searchs_own_run_does_not_enter_the_estimate() -> None:
    lucky, steady = trial(0, 0.99), trial(1, 0.95)
    runs = [
        run_of(lucky, 2, 0.90),
        run_of(lucky, 3, 0.91),
        run_of(steady, 4, 0.95),
        run_of(steady, 5, 0.94),
    ]
    best = winner([lucky, steady, *runs])
    assert best is not None
    assert best.finalist == steady
    assert best.mean == pytest.approx(0.945)
    assert best.estimate is not None
    assert best.estimate.estimate <= 0.945
    assert 0 <= best.estimate.low < best.estimate.high <= 1
    assert best.probability_best > 0.9
    without = [steady, trial(0, 0.96), *runs]
    for told, same in zip(confirmed(without), confirmed([lucky, steady, *runs]), strict=True):
        assert told.estimate is not None
        assert same.estimate is not None
        assert told.estimate.estimate == pytest.approx(same.estimate.estimate)


def test_the_network_is_the_winners_best_run_on_validation_images() -> None:
    finalist = trial(0, 0.99)
    runs = [
        run_of(finalist, 1, 0.93, val_loss=0.3),
        run_of(finalist, 2, 0.95, val_loss=0.3),
        run_of(finalist, 3, 0.95, val_loss=0.2),
    ]
    model = winner_model([finalist, *runs])
    assert model is not None
    assert model.number == 3
    assert model_number([finalist, *runs]) == 3
    assert model_number([finalist]) is None


def test_a_variant_that_fails_by_itself_stands_behind_one_that_does_not() -> None:
    shaky, steady, lost = trial(0, 0.99), trial(1, 0.90), trial(2, 0.92)
    trials = [
        shaky,
        steady,
        lost,
        run_of(shaky, 3, 0.99),
        run_of(shaky, 4, None, outcome="diverged", reason="the loss was NaN"),
        run_of(steady, 5, 0.90),
        run_of(steady, 6, 0.91),
        run_of(lost, 7, 0.93),
        run_of(lost, 8, None, outcome="failed", reason="its worker was lost 5 times"),
    ]
    board = confirmed(trials)
    # A lost worker is nobody's fault: that only leaves fewer runs.
    assert [c.finalist.number for c in board] == [2, 1, 0]
    assert [r.number for r in board[-1].unsuccessful] == [4]
    assert [r.number for r in board[0].unsuccessful] == [8]
    told = "\n".join(standing_lines(board, None))
    assert "run 4 of wrn-0 diverged: the loss was NaN" in told
    assert "run 8 of wrn-2 failed: its worker was lost 5 times" in told
    assert "1 of 2" in told


def test_without_a_completed_run_there_is_no_winner() -> None:
    finalist = trial(0, 0.9)
    trials = [finalist, run_of(finalist, 1, None, outcome="diverged", reason="NaN")]
    (only,) = confirmed(trials)
    assert (only.mean, only.estimate, only.probability_best) == (None, None, 0.0)
    assert winner(trials) is None
    assert winner_model(trials) is None
    assert is_confirmed(trials, ConfirmSpec(1, 1))


def test_of_equals_the_cheaper_is_first() -> None:
    dear, cheap = trial(0, 0.9, macs=500), trial(1, 0.9, macs=100)
    runs = [run_of(t, n, 0.9) for n, t in enumerate((dear, cheap, dear, cheap), start=2)]
    best = winner([dear, cheap, *runs])
    assert best is not None
    assert best.finalist == cheap
