"""A verdict rests on the random arm at matched cost, and says when it cannot be given."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from archsearch.analysis.edf import CALIPER, edf_of, matched_weights, nearness
from archsearch.analysis.looks import comparable_members, critical_value, single_look_value
from archsearch.analysis.members import (
    BUDGETS,
    LOST,
    NARROWER,
    Budget,
    Member,
    drawn_since,
    populations,
)
from archsearch.analysis.superiority import MIN_MEMBERS, contest, noether_members
from archsearch.analysis.verdict import verdict
from archsearch.errors import UsageError
from archsearch.objective import ACCURACY
from archsearch.record.cells import SearchIdentity
from archsearch.record.trial import OUTCOMES, Outcome, TrialRecord
from tests.analysis_support import family_of, made_trial

BETTER = [0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98]
WORSE = [value - 0.2 for value in BETTER]

accuracies = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from([0.5, -math.inf])), min_size=5, max_size=12
)


def members(family: str, values: list[float], costs: list[float] | None = None) -> list[Member]:
    return [
        Member(i, family, value, 1.0 if costs is None else costs[i], 1.0)
        for i, value in enumerate(values)
    ]


def two_families(first: list[float], second: list[float]) -> list[TrialRecord]:
    return family_of("resnext", first) + family_of("wrn", second, start=100)


def test_the_better_family_wins_and_the_sentence_says_how_sure_that_is() -> None:
    found = verdict(two_families(WORSE, BETTER))
    assert found.winner == found.leader == "wrn"
    assert found.more is None
    assert found.probability is not None
    assert found.probability > 0.975
    assert found.sentence.startswith("At equal MACs, wrn wins (probability above 0.99")
    assert "100 % of pairs" in found.sentence


def test_equal_families_are_not_told_apart_and_more_device_hours_are_named() -> None:
    found = verdict(two_families(BETTER, [v + 1e-3 for v in BETTER]))
    assert found.winner is None
    assert found.more is not None
    assert found.more.device_hours == pytest.approx(found.more.trials * 9 / 3600)
    assert "the data cannot tell which family wins" in found.sentence
    assert "device-hours" in found.sentence


@settings(max_examples=10)
@given(st.lists(st.sampled_from(["sampler", "control", "baseline", "confirm"]), max_size=6))
def test_only_the_random_arm_counts(arms: list[str]) -> None:
    base = two_families(BETTER, WORSE)
    extra = [made_trial(200 + i, "wrn", 0.999, arm=arm) for i, arm in enumerate(arms)]
    with_extra, without = verdict([*base, *extra]), verdict(base)
    assert with_extra.pairs == without.pairs
    assert with_extra.sentence == without.sentence


def test_the_best_of_a_family_may_be_the_samplers_and_is_marked() -> None:
    found = verdict(
        [
            *two_families(BETTER, WORSE),
            made_trial(200, "wrn", 0.999, arm="sampler"),
            made_trial(201, "wrn", 1.0, arm="confirm"),
            made_trial(202, "wrn", 1.0, arm="sampler", outcome="stopped", epochs=3),
        ]
    )
    best = found.families["wrn"].best
    assert best is not None
    assert (best.number, best.is_from_sampler) == (200, True)
    other = found.families["resnext"].best
    assert other is not None
    assert not other.is_from_sampler


@pytest.mark.parametrize("outcome", sorted(LOST))
def test_a_lost_member_is_worse_than_any_that_was_trained(outcome: Outcome) -> None:
    trials = two_families(BETTER, WORSE)
    spoiled = [
        replace(t, outcome=outcome, epochs=t.epochs[:1]) if t.family == "resnext" else t
        for t in trials
    ]
    found = verdict(spoiled)
    assert found.winner == "wrn"
    assert found.families["resnext"].num_lost == len(BETTER)
    assert found.families["resnext"].edf.errors == ()
    assert "8 resnext" in found.sentence.partition("lost")[2]


def test_failed_and_unfinished_trials_are_left_out_and_told() -> None:
    trials = [
        *two_families(BETTER, WORSE),
        made_trial(300, "wrn", None, outcome="failed", epochs=1),
        made_trial(301, "wrn", 0.999, outcome=None, epochs=2),
        made_trial(302, "wrn", 0.1, outcome="stopped", epochs=1),
    ]
    found = verdict(trials).families["wrn"]
    assert found.num_members == len(WORSE)
    assert found.left_out == {"failed": 1, "unfinished": 2}


def test_a_member_that_was_lost_before_an_epoch_has_no_training_time() -> None:
    trials = [*two_families(BETTER, WORSE), made_trial(300, "wrn", outcome="failed", epochs=0)]
    trials.append(replace(trials[-1], number=301, outcome="diverged"))
    assert verdict(trials, budget="seconds").families["wrn"].left_out == {
        "failed": 1,
        "no cost": 1,
    }
    assert verdict(trials, budget="macs").families["wrn"].num_lost == 1


@pytest.mark.parametrize("count", range(MIN_MEMBERS))
def test_with_too_few_members_nothing_is_said_but_counts(count: int) -> None:
    found = verdict(two_families(BETTER[:count], BETTER) if count else family_of("wrn", BETTER))
    assert (found.winner, found.leader, found.probability) == (None, None, None)
    if count:
        assert f"{count} resnext" in found.sentence
        assert found.more is not None
        assert found.more.trials >= 2 * (MIN_MEMBERS - count)
    else:
        assert found.sentence == (
            "At equal MACs there is nothing to compare: only wrn was searched."
        )


def test_no_trial_at_all_is_no_error() -> None:
    assert "no family was searched" in verdict([]).sentence


def test_families_of_other_costs_are_not_compared() -> None:
    far = family_of("resnext", WORSE, start=100, macs=1_000_000 * int(CALIPER))
    found = verdict(family_of("wrn", BETTER) + far)
    assert found.winner is None
    assert found.pairs[0].share is None
    assert "no resnext costs what any wrn does" in found.sentence


def test_what_costs_more_does_not_win_by_that() -> None:
    # Accuracy follows from cost alone; resnext is the larger family.
    def family(name: str, start: int, smallest: int) -> list[TrialRecord]:
        return [
            made_trial(start + i, name, 0.5 + 0.02 * (smallest + i), macs=2 ** (smallest + i))
            for i in range(10)
        ]

    found = verdict(family("wrn", 0, 10) + family("resnext", 100, 14))
    assert found.between("resnext", "wrn") is not None
    assert found.pairs[0].share is not None
    assert found.pairs[0].share.estimate == 0.5


def test_three_families_need_a_winner_against_each() -> None:
    base = two_families(WORSE, BETTER)
    tied = base + family_of("densenet", BETTER, start=300)
    assert verdict(tied).winner is None
    clear = base + family_of("densenet", WORSE, start=300)
    assert verdict(clear).winner == "wrn"
    few = base + family_of("densenet", WORSE[:2], start=300)
    assert verdict(few).winner == "wrn"
    assert "densenet cannot be compared with fewer than 5" in verdict(few).sentence


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_same_trials_in_another_order_get_the_same_verdict(budget: Budget) -> None:
    generator = random.Random(1)
    trials = [
        made_trial(i, generator.choice(["a", "b"]), generator.random(), macs=2 ** (10 + i % 4))
        for i in range(40)
    ]
    shuffled = generator.sample(trials, len(trials))
    assert verdict(trials, budget=budget) == verdict(shuffled, budget=budget)


trial_lists = st.lists(
    st.builds(
        made_trial,
        st.integers(0, 10**6),
        st.sampled_from(["a", "b", "c"]),
        st.one_of(st.none(), st.floats(0, 1)),
        arm=st.sampled_from(["random", "sampler", "control", "baseline", "confirm"]),
        outcome=st.sampled_from([None, *OUTCOMES]),
        macs=st.integers(1, 10**9),
        seconds=st.sampled_from([0.0, 1.0, 7.5]),
        epochs=st.integers(0, 9),
    ),
    max_size=30,
    unique_by=lambda t: t.number,
)


@settings(max_examples=60)
@given(trial_lists, st.sampled_from(BUDGETS))
def test_any_record_gets_a_verdict_that_is_whole_json(
    trials: list[TrialRecord], budget: Budget
) -> None:
    found = verdict(trials, budget=budget)
    json.dumps(found.as_json(), allow_nan=False)
    assert found.sentence.endswith(".")
    assert set(found.families) == {t.family for t in trials if t.arm != "confirm"}
    for pair in found.pairs:
        assert 0 <= pair.probability <= 1
        if pair.share is not None:
            assert 0 <= pair.share.low <= pair.share.estimate <= pair.share.high <= 1
    for family in found.families.values():
        edf = family.edf
        assert list(edf.share) == sorted(edf.share)
        assert all(low <= high for low, high in zip(edf.low, edf.high, strict=True))


def test_an_unknown_budget_or_level_is_refused() -> None:
    with pytest.raises(UsageError, match="params, macs, seconds"):
        verdict([], budget=cast("Any", "watts"))
    with pytest.raises(ValueError, match="level"):
        verdict([], level=1.0)


@settings(max_examples=60)
@given(accuracies, accuracies)
def test_at_one_cost_it_is_the_mann_whitney_statistic(a: list[float], b: list[float]) -> None:
    shown = contest({"a": members("a", a), "b": members("b", b)}, np.random.default_rng(0))
    share = shown.pairs[0].share
    assert share is not None
    # Ranks of values that may be infinite: any finite number below all others will do.
    first, second = ([-1.0 if v == -math.inf else v for v in values] for values in (a, b))
    expected = float(mannwhitneyu(first, second).statistic) / (len(a) * len(b))
    assert share.estimate == pytest.approx(expected)
    back = shown.between("b", "a")
    assert back.share is not None
    assert back.share.estimate == pytest.approx(1 - share.estimate)
    assert back.probability == pytest.approx(1 - shown.pairs[0].probability)


@settings(max_examples=60)
@given(accuracies, st.floats(0.1, 10), st.floats(0.1, 3))
def test_only_the_order_of_accuracies_and_the_ratio_of_costs_matter(
    values: list[float], scale: float, power: float
) -> None:
    values = [v if v == -math.inf else round(v, 3) for v in values]  # powers must not tie them
    costs = [2.0 ** (i / 4) for i in range(len(values))]

    def share(power: float, scale: float) -> float:
        own = [v if v == -math.inf else v**power for v in values]
        rival = members("b", [0.5**power] * 6, [costs[i % len(costs)] for i in range(6)])
        met = members("a", own, [cost * scale for cost in costs])
        rival = [replace(m, cost=m.cost * scale) for m in rival]
        shown = contest({"a": met, "b": rival}, np.random.default_rng(0))
        assert shown.pairs[0].share is not None
        return shown.pairs[0].share.estimate

    assert share(power, scale) == pytest.approx(share(1.0, 1.0))


@settings(max_examples=60)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=8))
def test_costs_are_the_same_within_the_caliper_and_nearer_ones_more_so(costs: list[float]) -> None:
    near = nearness(np.array(costs), np.array(costs))
    assert near == pytest.approx(near.T)
    assert np.diag(near) == pytest.approx(1)
    ratios = np.array(costs)[:, None] / np.array(costs)[None, :]
    assert ((near > 0) <= (np.maximum(ratios, 1 / ratios) < CALIPER * 1.000001)).all()


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([1.0, 4.0, 16.0]), min_size=1, max_size=12),
    st.lists(st.sampled_from([1.0, 4.0, 16.0]), min_size=1, max_size=12),
)
def test_weights_bring_families_to_one_distribution_of_costs(
    first: list[float], second: list[float]
) -> None:
    # Costs far apart are strata, and the weights of a stratum must then be equal exactly.
    costs = np.array(first), np.array(second)
    weights = matched_weights(list(costs))
    for cost in (1.0, 4.0, 16.0):
        ours, theirs = (w[c == cost].sum() for w, c in zip(weights, costs, strict=True))
        assert ours == pytest.approx(theirs)
    total = 1.0 if set(first) & set(second) else 0.0
    assert [w.sum() for w in weights] == pytest.approx([total, total])


def test_without_weights_the_edf_is_the_plain_one() -> None:
    values = [0.9, 0.8, 0.8, -math.inf]
    edf = edf_of(members("a", values), np.full(4, 0.25), np.random.default_rng(0), ACCURACY)
    assert edf.errors == pytest.approx((0.1, 0.2))
    assert edf.share == pytest.approx((0.25, 0.75))
    assert edf.effective_size == pytest.approx(4)
    assert edf.median_error() == pytest.approx(0.2)


def test_noether_needs_the_members_that_his_paper_says() -> None:
    # N = (1.645 + 1.282)**2 / (3 * 0.2**2) = 71.4 for a one-sided level of 0.05, power 0.9.
    assert math.ceil(noether_members(0.7, 1.645 + 1.282)) == 36
    with pytest.raises(ValueError, match="share"):
        noether_members(0.5, 1.96)


def test_who_looks_again_and_again_needs_a_wider_interval() -> None:
    values = [critical_value(members, 0.95) for members in (MIN_MEMBERS, 10, 40, 1000)]
    assert values == sorted(values)
    assert values[0] == critical_value(1, 0.95) > single_look_value(0.95)
    assert comparable_members(20, 20) == 20
    assert comparable_members(5, 10**6) < 10


def test_an_interval_for_every_look_contains_the_one_for_one_look() -> None:
    arms = {"a": members("a", [*BETTER, 0.5]), "b": members("b", [*WORSE, 0.95])}
    every, once = (
        contest(arms, np.random.default_rng(0), one_look=one).pairs[0].share
        for one in (False, True)
    )
    assert every is not None
    assert once is not None
    assert every.low <= once.low <= once.estimate == every.estimate <= once.high <= every.high


def test_a_population_counts_each_random_trial_once() -> None:
    trials = two_families(BETTER, [*WORSE, -math.inf])
    found = populations(trials, "params")
    assert [len(p.members) for p in found.values()] == [8, 9]
    assert found["wrn"].num_lost == 1
    assert found["wrn"].members[0].cost == 250_000


def identity_after(*earlier: dict[str, object]) -> SearchIdentity:
    """Of a search whose space has become wider so many times."""
    fields = {"space": "c", "data": "d", "split": "e", "seed": 0, "max_epochs": 9}
    return SearchIdentity.model_validate(fields | {"earlier_spaces": earlier})


def test_draws_of_before_the_space_became_wider_are_left_out_and_told() -> None:
    trials = family_of("wrn", WORSE) + family_of("resnext", BETTER, start=50)
    trials += family_of("wrn", BETTER, start=100) + family_of("densenet", WORSE, start=150)
    identity = identity_after(
        {"space": "a", "num_trials": 70, "redrawn": ["wrn"]},
        {"space": "b", "num_trials": 150, "redrawn": []},  # another family, nothing else
    )
    since = drawn_since(identity, ("densenet", "resnext", "wrn"))
    assert since == {"densenet": 0, "resnext": 0, "wrn": 70}
    found = verdict(trials, since=since)
    assert {f: share.num_members for f, share in found.families.items()} == {
        "densenet": 8,
        "resnext": 8,
        "wrn": 8,
    }
    assert found.families["wrn"].left_out == {NARROWER: len(WORSE)}
    assert "without those drawn before the space became wider: 8 wrn" in found.sentence
    assert "wider" not in verdict(trials).sentence


def test_a_record_that_does_not_tell_what_became_wider_counts_no_draw_of_before() -> None:
    identity = identity_after({"space": "a", "num_trials": 7})
    assert drawn_since(identity, ("a", "b")) == {"a": 7, "b": 7}
    assert drawn_since(identity_after(), ("a", "b")) == {"a": 0, "b": 0}
