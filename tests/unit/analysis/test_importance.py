"""Importances find what was planted, and do not find what was not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from archsearch.analysis.importance import ALL_FAMILIES, MIN_TRIALS, importances
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.trial import TrialRecord


def _uniform(recorded: RecordedSearch, count: int, *, planted: bool) -> RecordedSearch:
    """Trials of uniform parameters whose accuracy follows the learning rate, or nothing."""
    space = recorded.space
    assert space is not None
    from archsearch.spaces.suggest import UniformSuggester

    generator = random.Random(3)
    template = next(t for t in recorded.trials if t.outcome == "completed")
    trials: list[TrialRecord] = []
    for number in range(count):
        family = ("wrn", "resnext")[number % 2]
        params = space.suggest(UniformSuggester(generator), family=family).params
        rate = float(params["training/learning_rate"])
        value = -abs(rate - 0.1) if planted else generator.random()
        epoch = replace(template.epochs[-1], value=0.9 + value + 1e-3 * generator.random())
        trials.append(
            replace(template, number=number, family=family, params=params, epochs=[epoch])
        )
    return replace(recorded, trials=trials)


def test_a_planted_parameter_comes_first_and_above_chance(recorded: RecordedSearch) -> None:
    found = {i.scope: i for i in importances(_uniform(recorded, 200, planted=True))}
    assert set(found) == {ALL_FAMILIES, "wrn", "resnext"}
    for scope in found.values():
        first = scope.parameters[0]
        assert first.name == "training/learning_rate"
        assert first.is_above_chance
    names = {p.name for p in found["wrn"].parameters}
    assert "wrn/depth" in names
    assert not any(name.startswith("resnext/") for name in names)
    shared = {p.name for p in found[ALL_FAMILIES].parameters}
    assert {"family", "training/learning_rate"} <= shared
    assert not any(name.startswith(("wrn/", "resnext/")) for name in shared)


def test_noise_is_not_called_important(recorded: RecordedSearch) -> None:
    """One in 21 would exceed 19 of 20 shuffles' values twice by chance; none does all at once."""
    rated = importances(_uniform(recorded, 120, planted=False))
    all_bars = [p for scope in rated for p in scope.parameters]
    assert sum(p.is_above_chance for p in all_bars) <= len(all_bars) // 4


def test_the_same_seed_gives_the_same(recorded: RecordedSearch) -> None:
    made = _uniform(recorded, 60, planted=True)
    assert importances(made, seed=5) == importances(made, seed=5)


@pytest.mark.parametrize("count", [0, MIN_TRIALS - 1])
def test_too_few_trials_are_told_apart_from_no_importance(
    recorded: RecordedSearch, count: int
) -> None:
    for scope in importances(_uniform(recorded, count, planted=True)):
        assert scope.parameters == ()
        assert scope.num_trials <= count
