from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.halving.arms import (
    Arm,
    assign_arm,
    is_control,
    is_protected,
    is_random,
    random_family,
)

seeds = st.integers(0, 2**63 - 1)
shares = st.floats(0, 1)


@given(seeds, shares, st.integers(0, 150))
def test_the_random_arm_has_its_exact_share_of_any_first_n_draws(
    seed: int, share: float, count: int
) -> None:
    random = sum(is_random(seed, number, share) for number in range(count))
    assert abs(random - count * share) < 1 + 1e-3  # the share is kept to six decimals


@given(seeds)
def test_of_any_ten_draws_in_a_row_one_is_random_at_a_tenth(seed: int) -> None:
    drawn = [is_random(seed, number, 0.1) for number in range(100)]
    assert all(sum(drawn[start : start + 10]) == 1 for start in range(90))


@given(seeds, st.sampled_from([0.1, 0.25, 1.0]), st.integers(1, 5))
def test_random_draws_take_the_families_in_turn(seed: int, share: float, count: int) -> None:
    families = [f"family{index}" for index in range(count)]
    drawn = Counter(
        random_family(seed, number, families, share)
        for number in range(120)
        if is_random(seed, number, share)
    )
    assert max(drawn.values()) - min(drawn[family] for family in families) <= 1


def test_shares_of_none_and_all_are_kept() -> None:
    assert not any(is_random(3, number, 0.0) for number in range(50))
    assert all(is_random(3, number, 1.0) for number in range(50))
    assert not any(is_control(3, number, ["sampler"] * 20, 0.0) for number in range(50))


def test_control_by_hash_has_about_its_share() -> None:
    # Binomial of 20,000 draws at 5 %: six standard deviations are 185; a false alarm in 5e8.
    drawn = sum(is_control(seed, number, []) for seed in range(20) for number in range(1000))
    assert abs(drawn - 1000) < 185


@given(seeds, st.integers(0, 10_000))
def test_the_tenth_trial_of_a_family_without_control_is_control(seed: int, number: int) -> None:
    nine: list[Arm] = ["sampler"] * 8
    nine.append("random")
    assert is_control(seed, number, nine)
    assert is_control(seed, number, [*nine, "random"])  # when the tenth could not be
    by_hash = is_control(seed, number, [])
    assert is_control(seed, number, nine[:8]) == by_hash
    assert is_control(seed, number, [*nine, "control"]) == by_hash


@given(seeds, st.integers(0, 10_000))
def test_random_goes_before_control_and_control_before_sampler(seed: int, number: int) -> None:
    arm = assign_arm(seed, number, ["sampler"] * 9)
    assert arm == ("random" if is_random(seed, number) else "control")
    assert assign_arm(seed, number, [], random_share=0, control_share=0) == "sampler"


def test_assignments_never_change_between_versions() -> None:
    """A resumed search must assign its arms as it did before."""
    random = [number for number in range(60) if is_random(0, number)]
    assert random == [0, 10, 20, 30, 40, 50]
    assert [number for number in range(60) if is_control(0, number, [])] == [20, 51, 56]
    families = [random_family(0, number, ["a", "b", "c"]) for number in random]
    assert families == ["c", "a", "b", "c", "a", "b"]


def test_control_and_random_trials_are_protected() -> None:
    arms: list[Arm] = ["sampler", "control", "random", "baseline"]
    assert [arm for arm in arms if is_protected(arm)] == ["control", "random"]


def test_bad_arguments_are_refused_with_the_invariant() -> None:
    with pytest.raises(ValueError, match=r"`0 <= share <= 1`.*share=1\.5"):
        is_random(0, 0, 1.5)
    with pytest.raises(ValueError, match="number=-1"):
        is_control(0, -1, [])
    with pytest.raises(ValueError, match="at least one family"):
        random_family(0, 0, [], 1.0)
    with pytest.raises(ValueError, match="not of the random arm"):
        random_family(0, 0, ["a"], 0.0)
