"""Intervals hold the truth, and false verdicts stay below the nominal rate, on known families."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom

from archsearch.analysis.intervals import DEFAULT_LEVEL
from archsearch.analysis.members import Member, populations
from archsearch.analysis.superiority import (
    MIN_MEMBERS,
    contest,
    enough_members,
    noether_members,
)
from archsearch.record.trial import TrialRecord
from tests.analysis_support import made_trial

SPREAD = 0.03


def members(generator: np.random.Generator, family: str, count: int, level: float) -> list[Member]:
    """Normal accuracies that grow with cost; costs over three octaves."""
    octaves = generator.uniform(-1.5, 1.5, count)
    values = level + 0.01 * octaves + SPREAD * generator.standard_normal(count)
    return [
        Member(i, family, float(value), float(2**octave), 1.0)
        for i, (value, octave) in enumerate(zip(values, octaves, strict=True))
    ]


def rates(sizes: tuple[int, int], truth: float, repeats: int) -> tuple[int, int]:
    """How often the interval held the truth, and how often the worse (or equal) family won."""
    ahead = NormalDist().inv_cdf(truth) * SPREAD * 2**0.5
    generator = np.random.default_rng([*sizes, round(1000 * truth)])
    held = wrong = 0
    for _ in range(repeats):
        families = {
            "a": members(generator, "a", sizes[0], ahead),
            "b": members(generator, "b", sizes[1], 0.0),
        }
        pair = contest(families, generator, num_resamples=500).pairs[0]
        assert pair.share is not None
        held += pair.share.holds(truth)
        wrong += pair.share.high < 0.5 or (truth == 0.5 and pair.is_settled)
    return held, wrong


def check(sizes: tuple[int, int], truth: float, repeats: int) -> None:
    """Fail where chance alone would in one of 1,000 such tests, were the rates nominal."""
    held, wrong = rates(sizes, truth, repeats)
    assert held >= binom.ppf(0.001, repeats, DEFAULT_LEVEL)
    assert wrong <= binom.ppf(0.999, repeats, 1 - DEFAULT_LEVEL)


@pytest.mark.parametrize("truth", [0.5, 0.8])
def test_small_samples_are_covered(truth: float) -> None:
    check((MIN_MEMBERS, 8), truth, 200)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(5, 5), (5, 25), (8, 8), (10, 30), (25, 25), (50, 50)])
@pytest.mark.parametrize("truth", [0.5, 0.65, 0.8, 0.95])
def test_samples_of_any_size_are_covered(sizes: tuple[int, int], truth: float) -> None:
    check(sizes, truth, 1000)


@pytest.mark.slow
def test_of_several_equal_families_one_wins_no_more_often_than_nominally() -> None:
    generator = np.random.default_rng(0)
    repeats, wins = 500, 0
    for _ in range(repeats):
        families = {name: members(generator, name, 8, 0.06) for name in ("a", "b")}
        families |= {
            name: members(generator, name, 8, level) for name, level in (("c", 0.06), ("d", 0.0))
        }
        found = contest(families, generator, num_resamples=500)
        for name in families:
            against = [found.between(name, other) for other in families if other != name]
            wins += all(pair.share is not None and pair.share.low > 0.5 for pair in against)
    assert wins <= binom.ppf(0.999, repeats, 1 - DEFAULT_LEVEL)


def test_looking_after_every_member_tells_no_more_falsehoods_than_nominally() -> None:
    """And it would with intervals for one look: that is why they are wider."""
    generator = np.random.default_rng(0)
    repeats, wrong, wrong_of_one_look = 100, 0, 0
    for _ in range(repeats):
        arms = {name: members(generator, name, 30, 0.0) for name in ("a", "b")}
        seen = [{n: own[:count] for n, own in arms.items()} for count in range(MIN_MEMBERS, 31)]
        for one_look in (False, True):
            found = [
                contest(each, np.random.default_rng(0), num_resamples=300, one_look=one_look)
                for each in seen
            ]
            told = any(each.winner is not None for each in found)
            wrong += told and not one_look
            wrong_of_one_look += told and one_look
    assert wrong <= binom.ppf(0.999, repeats, 1 - DEFAULT_LEVEL)
    assert wrong_of_one_look > binom.ppf(0.999, repeats, 1 - DEFAULT_LEVEL)


def test_a_large_difference_is_seen_with_members_that_noether_asks_for() -> None:
    # Power 0.8 is planned for; pairs of unequal cost are lost, so twice the members are taken.
    count = 2 * enough_members(lambda z: noether_members(0.8, z), level=DEFAULT_LEVEL, power=0.8)
    generator = np.random.default_rng(0)
    ahead = NormalDist().inv_cdf(0.8) * SPREAD * 2**0.5
    seen = 0
    for _ in range(100):
        families = {
            "a": members(generator, "a", count, ahead),
            "b": members(generator, "b", count, 0.0),
        }
        pair = contest(families, generator, num_resamples=500).pairs[0]
        seen += pair.share is not None and pair.share.low > 0.5
    assert seen >= 80


def test_after_a_widening_the_truth_of_the_wider_space_is_covered() -> None:
    """And it would not be by all draws together: those of before were worse or better."""
    truth, sizes, repeats = 0.5, (15, 10), 200
    generator = np.random.default_rng(1)

    def trials(family: str, count: int, level: float, start: int) -> list[TrialRecord]:
        drawn = members(generator, family, count, level)
        return [
            made_trial(start + m.number, family, 0.5 + m.score, macs=round(1e6 * m.cost))
            for m in drawn
        ]

    held, held_by_all = 0, 0
    for _ in range(repeats):
        drawn = [
            *trials("a", sizes[0], -2 * SPREAD, 0),  # before: only its narrow members
            *trials("a", sizes[1], 0.0, 100),
            *trials("b", sum(sizes), 0.0, 200),
        ]
        for since in ({"a": 100}, {}):
            arms = {f: p.members for f, p in populations(drawn, "macs", since).items()}
            (pair,) = contest(arms, generator, num_resamples=500).pairs
            assert pair.share is not None
            if since:
                held += pair.share.holds(truth)
            else:
                held_by_all += pair.share.holds(truth)
    assert held >= binom.ppf(0.001, repeats, DEFAULT_LEVEL)
    assert held_by_all < binom.ppf(0.001, repeats, DEFAULT_LEVEL)
