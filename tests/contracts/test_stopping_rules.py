"""What every stopping rule owes a search."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.halving.decision import Decision
from archsearch.halving.rungs import Ladder
from archsearch.halving.stopping_rule import Ruling, StoppingRule
from archsearch.objective import ACCURACY
from archsearch.record.policy import SchedulerName
from archsearch.search.choices import STOPPING_RULES

LADDER = Ladder(1, 9, 3)
Epoch = tuple[int, int, float, bool]

every_rule = pytest.mark.parametrize("name", STOPPING_RULES)


def report_all(rule: StoppingRule, seed: int, num_trials: int = 30) -> list[tuple[Epoch, Ruling]]:
    """Report the epochs of trials in a random order, each trial until it is stopped."""
    generator = random.Random(seed)
    quality = {number: generator.random() for number in range(num_trials)}
    protected = {number: generator.random() < 0.3 for number in range(num_trials)}
    epochs = dict.fromkeys(range(num_trials), 0)
    reported = []
    while epochs:
        number = generator.choice(sorted(epochs))
        epochs[number] += 1
        value = quality[number] * (1 - 0.5 ** epochs[number])
        if generator.random() < 0.01:
            value = math.nan
        epoch = (number, epochs[number], value, protected[number])
        ruling = rule.report(*epoch[:3], protected=epoch[3])
        reported.append((epoch, ruling))
        if ruling.decision is Decision.STOP or epochs[number] == LADDER.max_epochs:
            del epochs[number]
    return reported


@every_rule
@given(seed=st.integers(0, 2**32))
def test_the_same_epochs_get_the_same_rulings_and_a_repeated_one_changes_nothing(
    name: SchedulerName, seed: int
) -> None:
    reported = report_all(STOPPING_RULES[name](LADDER, ACCURACY), seed)
    again = STOPPING_RULES[name](LADDER, ACCURACY)
    for (number, epoch, value, protected), ruling in reported:
        for _ in range(2):
            assert again.report(number, epoch, value, protected=protected) == ruling


@every_rule
@given(seed=st.integers(0, 2**32))
def test_stops_and_shadow_stops_are_at_rungs_with_a_reason(name: SchedulerName, seed: int) -> None:
    rule = STOPPING_RULES[name](LADDER, ACCURACY)
    for (_, epoch, value, protected), ruling in report_all(rule, seed):
        if ruling.decision is Decision.STOP or ruling.shadow_stop:
            assert ruling.reason
            assert epoch in rule.rungs or not math.isfinite(value)
        if math.isfinite(value):
            assert ruling.decision is Decision.CONTINUE or not protected
        else:
            assert ruling.decision is Decision.STOP


@every_rule
@given(seed=st.integers(0, 2**32))
def test_a_protected_trial_has_one_shadow_stop_and_then_changes_no_ruling(
    name: SchedulerName, seed: int
) -> None:
    reported = report_all(STOPPING_RULES[name](LADDER, ACCURACY), seed)
    shadows = [epoch[0] for epoch, ruling in reported if ruling.shadow_stop]
    assert len(shadows) == len(set(shadows))
    without = STOPPING_RULES[name](LADDER, ACCURACY)
    stopped: set[int] = set()
    for (number, epoch, value, protected), ruling in reported:
        if number in stopped:
            continue
        if ruling.shadow_stop:
            stopped.add(number)
        assert without.report(number, epoch, value, protected=protected) == ruling


@every_rule
def test_a_trial_alone_is_not_stopped(name: SchedulerName) -> None:
    rule = STOPPING_RULES[name](LADDER, ACCURACY)
    for epoch in range(1, LADDER.max_epochs + 1):
        assert rule.report(0, epoch, 0.1).decision is Decision.CONTINUE


@every_rule
def test_rungs_lie_below_the_last_epoch(name: SchedulerName) -> None:
    rungs = STOPPING_RULES[name](LADDER, ACCURACY).rungs
    assert list(rungs) == sorted(set(rungs))
    assert all(0 < rung < LADDER.max_epochs for rung in rungs)
