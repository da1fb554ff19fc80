"""A worker is taken to hang after many epochs' time without a word, and never soon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from archsearch.engine.tune_adapters import RunningTrials
from archsearch.search.patience import FACTOR, Patience

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


def test_patience_is_a_multiple_of_the_median_epoch_and_never_less_than_hang_seconds() -> None:
    patience = Patience(floor_seconds=100.0)
    assert patience.seconds == 100.0
    patience.saw(1.0)
    assert patience.seconds == 100.0
    for seconds in (30.0, 40.0, 50_000.0):  # an outlier moves a mean, not a median
        patience.saw(seconds)
    assert patience.seconds == FACTOR * 35.0


def test_a_worker_is_killed_after_that_time_without_a_word_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, killed = 0.0, list[str]()
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("archsearch.engine.tune_adapters.time", clock)
    monkeypatch.setattr("ray.kill", killed.append)
    patience = Patience(floor_seconds=100.0)
    patience.saw(10.0)  # 200 s
    running_trials = RunningTrials(
        cast("Any", SimpleNamespace(director=SimpleNamespace(patience=patience)))
    )
    trials = {
        name: cast("Trial", SimpleNamespace(trial_id=name, is_finished=lambda: False))
        for name in ("silent", "alive", "without a worker")
    }
    for trial in trials.values():
        running_trials.add(trial, lambda trial: None if " " in trial.trial_id else trial.trial_id)
    for now in (0.0, 150.0, FACTOR * 10.0):
        if now == 150.0:
            running_trials.saw(trials["alive"], has_workers=True)
        running_trials.kill_the_hung()
        assert not killed
    now += 1.0
    running_trials.kill_the_hung()
    assert killed == ["silent"]
    assert running_trials.remove("silent")[1].kind == "hung"
