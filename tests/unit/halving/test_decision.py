from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.halving.decision import Decision, decide, standing
from archsearch.objective import ACCURACY

accuracies = st.floats(0, 1)
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])


@given(accuracies, st.integers(2, 10))
def test_a_lone_trial_is_never_stopped(value: float, factor: int) -> None:
    assert decide(value, [], factor, ACCURACY) is Decision.CONTINUE
    assert decide(value, [math.nan, math.nan], factor, ACCURACY) is Decision.CONTINUE


@given(not_finite, st.lists(accuracies), st.integers(2, 10))
def test_a_value_that_is_not_finite_stops_at_once(
    value: float, others: list[float], factor: int
) -> None:
    assert decide(value, others, factor, ACCURACY) is Decision.STOP


@given(accuracies, st.lists(accuracies), st.lists(not_finite), st.integers(2, 10))
def test_values_that_are_not_finite_enter_no_quantile(
    value: float, others: list[float], bad: list[float], factor: int
) -> None:
    assert decide(value, bad + others, factor, ACCURACY) is decide(value, others, factor, ACCURACY)


@given(st.lists(accuracies, min_size=1, unique=True), st.integers(2, 10))
def test_exactly_the_best_nth_rounded_up_go_on(values: list[float], factor: int) -> None:
    going_on = [
        value
        for index, value in enumerate(values)
        if decide(value, values[:index] + values[index + 1 :], factor, ACCURACY)
        is Decision.CONTINUE
    ]
    num_kept = math.ceil(len(values) / factor)
    assert sorted(going_on) == sorted(values)[-num_kept:]


@given(accuracies, st.integers(0, 20), st.integers(2, 10))
def test_equal_values_go_on_together(value: float, count: int, factor: int) -> None:
    assert decide(value, [value] * count, factor, ACCURACY) is Decision.CONTINUE


@given(accuracies, accuracies, st.lists(accuracies), st.integers(2, 10))
def test_a_better_value_never_fares_worse(
    one: float, two: float, others: list[float], factor: int
) -> None:
    low, high = sorted((one, two))
    if decide(low, others, factor, ACCURACY) is Decision.CONTINUE:
        assert decide(high, others, factor, ACCURACY) is Decision.CONTINUE


def test_the_newcomer_counts_itself() -> None:
    # Four values keep ceil(4 / 3) = 2: the second best goes on, the third does not.
    assert decide(0.8, [0.9, 0.5, 0.6], 3, ACCURACY) is Decision.CONTINUE
    assert decide(0.6, [0.9, 0.8, 0.5], 3, ACCURACY) is Decision.STOP


def test_standing_tells_rank_and_places() -> None:
    place = standing(0.5, [0.9, 0.5, 0.1, math.nan], 3, ACCURACY)
    assert (place.rank, place.num_values, place.num_kept) == (2, 4, 2)


def test_bad_arguments_are_refused_with_the_invariant() -> None:
    with pytest.raises(ValueError, match="`reduction_factor >= 2` must hold"):
        decide(0.5, [0.4], 1, ACCURACY)
    with pytest.raises(ValueError, match="`value` must be finite"):
        standing(math.nan, [], 3, ACCURACY)
