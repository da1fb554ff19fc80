"""How many more random trials, and device-hours, a verdict would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archsearch.analysis.looks import comparable_members, critical_value
from archsearch.analysis.members import Population
from archsearch.analysis.superiority import (
    MIN_MEMBERS,
    Contest,
    Superiority,
    enough_members,
    noether_members,
)

PLANNED_SHARE = 0.7
"""The difference that is planned for while nothing is known of the true one."""

SMALLEST_SHARE = 0.55
"""Differences smaller than this are planned for as this: smaller ones take thousands of trials."""

POWER = 0.8


@dataclass(frozen=True)
class More:
    """What it would take to tell the families apart.

    Attributes:
        share: The difference that would be seen with a probability of 80 %, as a share of pairs.
        is_observed: Whether that is the difference as it looks now.
        trials: Random trials to add, over all families together.
        device_hours: What they would take at the pace of those so far; None if nothing was timed.
    """

    share: float
    is_observed: bool
    trials: int
    device_hours: float | None


def more_needed(
    arms: Mapping[str, Population],
    outcome: Contest,
    leader: str | None,
    seconds_each: float | None,
    level: float,
) -> More | None:
    """What would settle the leader's most doubtful pair; None with fewer than two families.

    The random arm takes the families in turn, so every family is counted for. Power after the
    fact is a rough guide: it takes the difference for what it looks like now.
    """
    if len(arms) < 2:
        return None
    fewest = min(len(arm.members) for arm in arms.values())
    doubtful = _most_doubtful(outcome, leader)
    if fewest < MIN_MEMBERS or doubtful is None or doubtful.share is None:
        share, is_observed = PLANNED_SHARE, False
        needed = enough_members(
            lambda z: noether_members(PLANNED_SHARE, z), level=level, power=POWER
        )
    else:
        sizes = [len(arms[family].members) for family in (doubtful.first, doubtful.second)]
        present = comparable_members(*sizes)
        width = doubtful.share.high - doubtful.share.low
        error = width / (2 * critical_value(present, level))
        looks = 0.5 + abs(doubtful.share.estimate - 0.5)
        share, is_observed = max(looks, SMALLEST_SHARE), looks >= SMALLEST_SHARE
        needed = enough_members(
            lambda z: present * (z * error / (share - 0.5)) ** 2, level=level, power=POWER
        )
    trials = max(needed - fewest, 1) * len(arms)
    hours = None if seconds_each is None else trials * seconds_each / 3600
    return More(share, is_observed, trials, hours)


def _most_doubtful(outcome: Contest, leader: str | None) -> Superiority | None:
    pairs = [pair for pair in outcome.pairs if leader in (pair.first, pair.second)]
    return min(pairs, key=lambda pair: abs(pair.probability - 0.5), default=None)
