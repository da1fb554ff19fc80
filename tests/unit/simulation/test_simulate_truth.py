"""Over many simulated searches of known truth: verdicts are true, and the audit cries no wolf."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from scipy.stats import binom

from archsearch.analysis.intervals import DEFAULT_LEVEL
from archsearch.analysis.unfairness import SIGNIFICANCE
from archsearch.record.policy import Policy
from archsearch.simulation.repetitions import SimulationOutcome, Summary, simulate_many, summarise
from archsearch.simulation.sources import synthetic

# 200 searches take a minute on a quiet core.
pytestmark = pytest.mark.timeout(900)

QUICK, MANY = 20, 200

# What CI runs; `make test` runs a tenth of it.
number_of_searches = pytest.mark.parametrize(
    "searches", [QUICK, pytest.param(MANY, marks=pytest.mark.slow)]
)


@functools.lru_cache
def simulated(
    scenario: str, searches: int, trials: int = 40
) -> tuple[Sequence[SimulationOutcome], Summary]:
    """Searches, half of whose trials are random: 40 are enough for verdicts that can be wrong."""
    world, setting = synthetic(scenario)
    setting = replace(setting, trials=trials, policy=Policy(random_share=0.5))
    outcomes = list(simulate_many(setting, world, searches))
    return outcomes, summarise(outcomes, world)


def at_most(rate: float, searches: int) -> float:
    """The largest count that chance gives but in one of 1,000 tests, were the rate nominal."""
    return float(binom.ppf(0.999, searches, rate))


@number_of_searches
def test_where_curves_cross_the_audit_finds_the_family_that_is_stopped_unfairly(
    searches: int,
) -> None:
    _, summary = simulated("crossing", searches)
    assert summary.families["resnext"].num_unfair >= 0.9 * searches
    assert summary.families["resnext"].num_warned >= 0.8 * searches
    assert summary.families["wrn"].num_unfair <= at_most(SIGNIFICANCE, searches)


@number_of_searches
@pytest.mark.parametrize("scenario", ["behind", "equal"])
def test_where_curves_do_not_cross_it_does_not_cry_wolf(scenario: str, searches: int) -> None:
    outcomes, summary = simulated(scenario, searches)
    accused = sum(bool(one.unfair) for one in outcomes)
    warned = sum(bool(one.warned) for one in outcomes)
    assert accused <= at_most(SIGNIFICANCE, searches)
    assert warned <= at_most(SIGNIFICANCE, searches)
    assert summary.searches == searches


@number_of_searches
@pytest.mark.parametrize("scenario", ["equal", "crossing", "behind"])
def test_intervals_hold_the_truth_and_false_verdicts_stay_below_the_nominal_rate(
    scenario: str, searches: int
) -> None:
    _, summary = simulated(scenario, searches)
    (pair,) = summary.pairs
    assert pair.num_told == searches
    assert pair.coverage is not None
    held = round(pair.coverage.estimate * searches)
    assert held >= binom.ppf(0.001, searches, DEFAULT_LEVEL)
    assert summary.false_verdicts is not None
    wrong = round(summary.false_verdicts.estimate * searches)
    assert wrong <= at_most(1 - DEFAULT_LEVEL, searches)


@number_of_searches
def test_the_better_family_wins_where_there_is_one(searches: int) -> None:
    # An interval that holds at every look decides at about 16 members a family here.
    _, summary = simulated("crossing", searches, trials=100)
    assert summary.verdicts.get("resnext", 0) > 0.5 * searches
    assert summary.verdicts.get("wrn", 0) == 0


@number_of_searches
def test_equal_families_are_said_to_be_undecided(searches: int) -> None:
    outcomes, summary = simulated("equal", searches)
    decided = searches - summary.verdicts["undecided"]
    assert decided <= at_most(1 - DEFAULT_LEVEL, searches)
    for one in outcomes:
        if one.verdict.winner is None:
            assert "the data cannot tell" in one.verdict.sentence
            assert one.verdict.more is not None
            assert (one.verdict.more.device_hours or 0) > 0


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["ahead", "costly", "fragile", "three"])
def test_neither_cost_nor_divergence_nor_a_third_family_makes_verdicts_false(
    scenario: str,
) -> None:
    outcomes, summary = simulated(scenario, MANY)
    assert summary.false_verdicts is not None
    wrong = round(summary.false_verdicts.estimate * MANY)
    assert wrong <= at_most(1 - DEFAULT_LEVEL, MANY)
    for pair in summary.pairs:
        assert pair.coverage is not None
        held = round(pair.coverage.estimate * pair.num_told)
        assert held >= binom.ppf(0.001, pair.num_told, DEFAULT_LEVEL)
    assert sum(bool(one.unfair) for one in outcomes) <= at_most(SIGNIFICANCE, MANY)
