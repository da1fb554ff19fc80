"""The audit counts what early stopping did, and accuses no family without grounds."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.analysis.agreement import kendall_tau
from archsearch.analysis.audit import MIN_CONTROL_TRIALS, audit
from archsearch.analysis.unfairness import (
    FIRST_LOOK,
    SIGNIFICANCE,
    FairnessWatch,
    _level_of_look,
    unfair_families,
    unfairness_by_family,
)
from archsearch.record.trial import OUTCOMES, TrialRecord
from tests.analysis_support import MAX_EPOCHS, REDUCTION_FACTOR, RUNGS, made_trial


def control(
    number: int, final: float, at_rung: float, *, shadow: int | None = None, family: str = "wrn"
) -> TrialRecord:
    return made_trial(
        number, family, final, arm="control", at_rungs=(at_rung, at_rung), shadow=shadow
    )


def test_a_wrong_stop_is_a_shadow_stop_that_ends_in_the_best_third_of_the_control_trials() -> None:
    finals = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]  # the best third: 0.9 and 0.8
    stopped = {0, 2, 5}
    trials = [
        control(i, final, 1 - final, shadow=1 if i in stopped else None)
        for i, final in enumerate(finals)
    ]
    found = audit(trials, RUNGS, REDUCTION_FACTOR)["wrn"]
    assert (found.num_control, found.num_best) == (6, 2)
    assert (found.num_shadow_stopped, found.num_wrongly_stopped) == (3, 1)
    assert found.wrong_rate is not None
    assert found.missed_rate is not None
    assert found.wrong_rate.estimate == pytest.approx(1 / 3)
    assert found.missed_rate.estimate == pytest.approx(1 / 2)
    assert [rung.kendall_tau for rung in found.rungs] == pytest.approx([-1, -1])
    assert found.epochs_for_control == 3 * (MAX_EPOCHS - 1)


@pytest.mark.parametrize("count", range(MIN_CONTROL_TRIALS))
def test_below_five_control_trials_there_are_counts_but_no_correlations(count: int) -> None:
    trials = [control(i, i / 10, i / 10, shadow=1) for i in range(count)]
    trials.append(made_trial(99, "wrn", 0.5, arm="sampler"))
    found = audit(trials, RUNGS, REDUCTION_FACTOR)["wrn"]
    assert found.num_control == found.num_shadow_stopped == count
    assert not found.is_enough
    assert found.wrong_rate is found.missed_rate is None
    assert [rung.kendall_tau for rung in found.rungs] == [None, None]


def test_only_the_control_arm_is_audited_and_only_trials_whose_end_is_known() -> None:
    base = [control(i, i / 10, i / 10) for i in range(5)]
    others = [
        made_trial(10, arm="random", shadow=1),
        made_trial(11, arm="sampler"),
        made_trial(12, arm="baseline"),
        made_trial(13, arm="confirm"),
        made_trial(14, arm="control", outcome=None, epochs=2),
        made_trial(15, arm="control", outcome="failed", epochs=2),
    ]
    found = audit([*base, *others], RUNGS, REDUCTION_FACTOR)["wrn"]
    assert found.num_control == 5
    assert found.num_shadow_stopped == 0
    assert found.num_trials == len(base) + len(others) - 1


def test_a_control_trial_that_diverged_ranks_last_and_is_never_one_of_the_best() -> None:
    lost = made_trial(0, "wrn", None, arm="control", outcome="diverged", epochs=2, shadow=1)
    rest = [control(i, i / 10, i / 10) for i in range(1, 6)]
    found = audit([lost, *rest], RUNGS, REDUCTION_FACTOR)["wrn"]
    assert found.num_control == 6
    assert found.num_wrongly_stopped == 0
    all_lost = audit([lost], RUNGS, REDUCTION_FACTOR)["wrn"]
    assert (all_lost.num_control, all_lost.num_best) == (1, 0)


def test_epochs_saved_are_those_that_stopped_trials_were_not_trained_for() -> None:
    trials = [
        made_trial(0, arm="sampler", outcome="stopped", epochs=1),
        made_trial(1, arm="sampler", outcome="stopped", epochs=3),
        made_trial(2, arm="sampler"),
        made_trial(3, arm="sampler", outcome="diverged", epochs=2),
    ]
    found = audit(trials, RUNGS, REDUCTION_FACTOR)["wrn"]
    assert found.epochs_trained == 1 + 3 + 9 + 2
    assert found.epochs_saved == 8 + 6
    assert found.num_stopped == 2


any_trials = st.lists(
    st.builds(
        made_trial,
        st.integers(0, 10**6),
        st.sampled_from(["a", "b", "c"]),
        st.one_of(st.none(), st.floats(0, 1)),
        arm=st.sampled_from(["random", "control", "sampler", "baseline", "confirm"]),
        outcome=st.sampled_from([None, *OUTCOMES]),
        at_rungs=st.lists(st.floats(0, 1), max_size=2),
        shadow=st.sampled_from([None, 1, 3]),
        epochs=st.integers(0, 9),
    ),
    max_size=30,
    unique_by=lambda t: t.number,
)


@settings(max_examples=60)
@given(any_trials, st.sampled_from([(), (3,), RUNGS]), st.integers(2, 5))
def test_any_record_is_audited_and_its_counts_agree(
    trials: list[TrialRecord], rungs: tuple[int, ...], reduction_factor: int
) -> None:
    found = audit(trials, rungs, reduction_factor)
    assert set(found) == {t.family for t in trials if t.arm != "confirm"}
    for one in found.values():
        json.dumps(one.as_json(), allow_nan=False)
        assert one.num_wrongly_stopped <= min(one.num_shadow_stopped, one.num_best)
        assert one.num_shadow_stopped <= one.num_control <= one.num_trials
        assert one.epochs_saved >= 0
        assert len(one.rungs) == len(rungs)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=20, unique=True))
def test_tau_is_one_for_the_same_order_and_minus_one_for_the_reverse(counts: list[int]) -> None:
    values = [count / 10_000 for count in counts]
    assert kendall_tau(values, [v / 2 for v in values]) == pytest.approx(1)
    assert kendall_tau(values, [-v for v in values]) == pytest.approx(-1)
    assert kendall_tau([0.5] * len(values), values) is None
    with_lost = [-math.inf, *values]
    assert kendall_tau(with_lost, with_lost) == pytest.approx(1)


def searched(cross: bool, count: int, seed: int = 0) -> list[TrialRecord]:
    """Two families of the random arm; `slow` is far behind at the rungs, at the end ahead or not.

    The rule would have stopped every slow one, and half of the fast ones.
    """
    generator = random.Random(seed)
    trials = []
    for i in range(count):
        fast = 0.7 + 0.05 * generator.random()
        slow = fast + (0.1 if cross else -0.1) * generator.random()
        stop = 1 if i % 2 else None
        trials += [
            made_trial(2 * i, "fast", fast, at_rungs=(0.5 + fast / 10,) * 2, shadow=stop),
            made_trial(2 * i + 1, "slow", slow, at_rungs=(0.2 + slow / 10,) * 2, shadow=1),
        ]
    return trials


def test_a_family_that_overtakes_is_found_to_be_stopped_unfairly() -> None:
    (fast, slow) = unfairness_by_family(searched(cross=True, count=10), RUNGS)
    assert slow.is_significant
    assert not fast.is_significant
    assert slow.share_at_rung == 0
    assert slow.share_at_end > 0.5
    assert slow.num_shadow_stopped == 10
    assert slow.sentence.startswith("slow is being stopped unfairly: after epoch 1 its trials")
    assert "grace_period_epochs" in slow.sentence


def test_a_family_that_stays_behind_is_not() -> None:
    found = unfairness_by_family(searched(cross=False, count=50), RUNGS)
    assert not any(u.is_significant for u in found)


def test_members_that_diverge_after_the_rungs_make_no_other_family_a_slow_one() -> None:
    trials = [
        made_trial(
            i,
            "fragile" if i % 2 else "steady",
            0.8 + 0.05 * (i % 2),
            at_rungs=(0.4 + 0.05 * (i % 2),) * 2,
            shadow=None if i % 2 else 1,
        )
        for i in range(20)
    ]
    trials += [
        made_trial(100 + i, "fragile", None, outcome="diverged", at_rungs=(0.6, 0.6), epochs=4)
        for i in range(20)
    ]
    assert not any(u.is_significant for u in unfairness_by_family(trials, RUNGS))


def test_one_family_or_no_rung_is_nothing_to_be_unfair_about() -> None:
    trials = searched(cross=True, count=10)
    assert unfairness_by_family([t for t in trials if t.family == "slow"], RUNGS) == []
    assert unfairness_by_family(trials, ()) == []
    assert unfairness_by_family([], RUNGS) == []


def test_a_crossing_that_stops_nobody_more_is_no_unfairness() -> None:
    trials = [
        made_trial(
            t.number,
            t.family,
            t.value,
            at_rungs=[e.value or 0 for e in t.epochs[:3:2]],
        )
        for t in searched(cross=True, count=10)
    ]
    assert not any(u.is_significant for u in unfairness_by_family(trials, RUNGS))


def test_all_looks_at_a_running_search_together_spend_no_more_than_one_look_may() -> None:
    levels = [_level_of_look(count) for count in range(100_000)]
    looks = [count for count, level in enumerate(levels) if level is not None]
    assert looks[:4] == [FIRST_LOOK, 20, 40, 80]
    assert sum(level for level in levels if level is not None) <= SIGNIFICANCE


def test_a_running_search_is_warned_of_a_family_once() -> None:
    trials = searched(cross=True, count=40)
    watch = FairnessWatch(RUNGS)
    told = [
        (count, found.family)
        for count in range(1, len(trials) + 1)
        for found in watch.after(trials[count - 1], trials[:count])
    ]
    assert told == [(FIRST_LOOK, "slow")]
    assert [u.family for u in unfair_families(trials[:20], RUNGS)] == ["slow"]


def test_a_trial_that_may_be_stopped_is_no_occasion_to_look() -> None:
    trials = searched(cross=True, count=FIRST_LOOK // 2)
    stopped = made_trial(99, "slow", arm="sampler", outcome="stopped", epochs=1)
    assert FairnessWatch(RUNGS).after(stopped, [*trials, stopped]) == []
    assert FairnessWatch(()).after(trials[-1], trials) == []
