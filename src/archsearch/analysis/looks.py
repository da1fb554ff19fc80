"""Intervals that may be looked at again and again while members are added.

An interval for one look holds the truth in 95 % of all searches, and at some of many looks it
misses it far more often. So intervals here are wider: of all searches, 95 % have intervals that
hold the truth at *every* look, whenever and however often somebody looks, and whether or not they
go on because of what they saw.

For a standardised estimate Z_n of n members, with independent increments as asymptotically normal
ones have them,

    P(Z_n^2 >= c + log(n / n0) for some n >= n0) <= P(chi^2 of 3 degrees of freedom >= c).

This follows from Ville's inequality for the mixture of likelihood ratios over a flat prior,
sqrt(n0 / n) exp(Z_n^2 / 2), given what is known at the first look n0 (Robbins 1970, Ann. Math.
Stat. 41:1397; Bibaut, Kallus & Lindon 2022, arXiv:2212.14411, "delayed start"). Nothing is assumed
of the number of looks or of their end, so no schedule has to be kept.
"""

from __future__ import annotations

import math

FIRST_LOOK = 5
"""Members of each of two families before the first look."""


def critical_value(num_members: float, level: float) -> float:
    """Standard errors to each side that an interval of so many members must reach.

    At a level of 95 % it is 2.80 at the first look, where one look would take 1.96, and 3.03, 3.15
    and 3.29 at 20, 40 and 100 members.

    Args:
        num_members: Of each of two families of equal size, see `comparable_members`; fewer than
            `FIRST_LOOK` count as that.
        level: How often all intervals together hold the truth.

    Raises:
        ValueError: `0 < level < 1` does not hold.
    """
    if not 0 < level < 1:
        raise ValueError(f"`0 < level < 1` must hold, but got level={level}")
    from scipy.stats import chi2

    growth = max(num_members, FIRST_LOOK) / FIRST_LOOK
    return math.sqrt(float(chi2.isf(1 - level, 3)) + math.log(growth))


def single_look_value(level: float) -> float:
    """Standard errors to each side that an interval reaches which is looked at once."""
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2))


def comparable_members(first: int, second: int) -> float:
    """Members of each of two families of equal size that tell as much: the harmonic mean."""
    return 2 * first * second / (first + second) if first and second else 0.0
