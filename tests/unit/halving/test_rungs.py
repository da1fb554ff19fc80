from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.halving.rungs import Ladder, decision_rungs, grace_period_epochs, rung_epochs


@pytest.mark.parametrize(
    ("grace", "largest", "factor", "levels"),
    [
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),  # a float logarithm loses the top one
        (1, 125, 5, (1, 5, 25, 125)),
        (1, 10, 3, (1, 3, 9)),
        (4, 4, 2, (4,)),
        (6, 27, 3, (6, 18)),
    ],
)
def test_levels_are_multiplied_out_as_integers(
    grace: int, largest: int, factor: int, levels: tuple[int, ...]
) -> None:
    assert rung_epochs(grace, largest, factor) == levels


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(2, 50))
def test_levels_are_exact_powers_up_to_max_epochs_and_no_further(
    grace: int, more: int, factor: int
) -> None:
    largest = grace + more
    levels = rung_epochs(grace, largest, factor)
    assert levels == tuple(grace * factor**power for power in range(len(levels)))
    assert levels[-1] <= largest < levels[-1] * factor
    assert decision_rungs(grace, largest, factor) == tuple(x for x in levels if x != largest)


@pytest.mark.parametrize("arguments", [(0, 5, 3), (6, 5, 3), (-1, 5, 3)])
def test_a_grace_period_outside_the_training_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"1 <= grace_period_epochs <= max_epochs.*must hold"):
        rung_epochs(*arguments)


def test_a_reduction_factor_below_two_is_refused() -> None:
    with pytest.raises(ValueError, match="`reduction_factor >= 2` must hold"):
        decision_rungs(1, 9, 1)
    with pytest.raises(ValueError, match="reduction_factor=1"):
        Ladder(1, 9, 1)


@pytest.mark.parametrize(
    ("max_epochs", "steps", "grace"),
    [
        (27, 17, 6),  # digits at batch 64: 100 steps take 6 epochs
        (200, 390, 20),  # CIFAR at batch 128: a tenth
        (11, 1000, 2),  # a tenth is rounded up
        (5, 1, 100),  # may lie beyond the end
    ],
)
def test_grace_period_is_a_tenth_or_a_hundred_steps(
    max_epochs: int, steps: int, grace: int
) -> None:
    assert grace_period_epochs(max_epochs, steps) == grace


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_grace_period_is_the_smallest_that_satisfies_both_floors(
    max_epochs: int, steps: int
) -> None:
    grace = grace_period_epochs(max_epochs, steps)
    assert grace * steps >= 100
    assert 10 * grace >= max_epochs
    shorter = grace - 1
    assert shorter * steps < 100 or 10 * shorter < max_epochs


def test_grace_period_refuses_counts_below_one() -> None:
    with pytest.raises(ValueError, match="steps_per_epoch_at_largest_batch=0"):
        grace_period_epochs(10, 0)


def test_a_ladder_with_no_rung_below_the_last_epoch_stops_nobody_and_says_so() -> None:
    for grace in (9, 10, 50):
        ladder = Ladder(grace, 9, 3)
        assert ladder.rungs == ()
        assert not ladder.stops_trials
        assert ladder.sentence.startswith("No trial is stopped early")
        assert str(grace) in ladder.sentence


def test_a_ladder_tells_its_rungs() -> None:
    ladder = Ladder.for_search(27, 3, steps_per_epoch_at_largest_batch=17)
    assert ladder.rungs == (6, 18)
    assert ladder.stops_trials
    assert "after epoch 6, 18 (of 27); about one in 3" in ladder.sentence


def test_a_given_grace_period_replaces_the_computed_one_but_may_not_exceed_the_training() -> None:
    assert Ladder.for_search(27, 3, 1, grace_period=1).rungs == (1, 3, 9)
    with pytest.raises(ValueError, match="grace_period_epochs=28"):
        Ladder.for_search(27, 3, 1, grace_period=28)


def test_a_ladder_refuses_epochs_below_one() -> None:
    with pytest.raises(ValueError, match="`grace_period_epochs >= 1`"):
        Ladder(0, 9, 3)


def test_levels_agree_with_ray_but_for_the_rung_that_its_logarithm_loses() -> None:
    async_hyperband = importlib.import_module("ray.tune.schedulers.async_hyperband")
    for grace, largest, factor in [(1, 10, 3), (2, 100, 3), (6, 27, 3), (1, 64, 4), (5, 81, 2)]:
        bracket = async_hyperband._Bracket(grace, largest, factor, 0)
        theirs = sorted(rung[0] for rung in bracket._rungs)
        assert tuple(theirs) == rung_epochs(grace, largest, factor)
    lossy = async_hyperband._Bracket(1, 243, 3, 0)
    assert {rung[0] for rung in lossy._rungs} == {1, 3, 9, 27, 81}
