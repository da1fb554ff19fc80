"""Which arm a trial belongs to: pure functions of the search's seed and what was drawn before.

The random arm is settled before anything is suggested (its draws are uniform within a family
taken in turn); the control arm after, because it looks at the proposal's family. The order of
precedence is baseline, random, control, sampler.

Confirm runs are no members of the search: after it has ended, its finalists are trained anew. They
are recorded beside its trials, in an arm of their own that takes part in nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Arm = Literal["sampler", "control", "random", "baseline", "confirm"]

CONFIRM: Arm = "confirm"
"""The arm of runs that repeat a finalist: never stopped, never ranked, never told the sampler."""

PROTECTED_ARMS: frozenset[Arm] = frozenset({"control", "random"})
"""Arms whose trials are never stopped early; the rule's answer is kept as a shadow stop."""

DEFAULT_RANDOM_SHARE = 0.1
DEFAULT_CONTROL_SHARE = 0.05

TRIALS_BEFORE_A_FAMILY_NEEDS_CONTROL = 9
"""A family's next trial after this many without a control trial becomes one: its tenth."""


def is_protected(arm: Arm) -> bool:
    """May a trial of this arm not be stopped early?"""
    return arm in PROTECTED_ARMS


def is_random(seed: int, number: int, share: float = DEFAULT_RANDOM_SHARE) -> bool:
    """Is draw `number` (0-based, baselines not counted) of the random arm?

    Draw n is random where floor((n + 1) * share + u) > floor(n * share + u), with u in [0, 1)
    from the seed: evenly spread, and of the first n draws n * share are random, give or take
    less than one.

    Raises:
        ValueError: `0 <= share <= 1` or `number >= 0` does not hold.
    """
    return _num_random(seed, number + 1, share) > _num_random(seed, number, share)


def random_family(
    seed: int, number: int, families: Sequence[str], share: float = DEFAULT_RANDOM_SHARE
) -> str:
    """The family that random draw `number` is drawn in: each in turn, the first by the seed.

    Raises:
        ValueError: As `is_random`; `families` is empty; or draw `number` is not random.
    """
    if not families:
        raise ValueError("`families` must name at least one family, but it is empty")
    if not is_random(seed, number, share):
        raise ValueError(f"draw {number} of seed {seed} is not of the random arm")
    first = int(_unit("family", seed) * len(families))
    return families[(first + _num_random(seed, number, share)) % len(families)]


def is_control(
    seed: int,
    number: int,
    family_arms: Sequence[Arm],
    share: float = DEFAULT_CONTROL_SHARE,
) -> bool:
    """Is the sampler's proposal `number` of the control arm?

    It is by a hash of seed and number, with probability `share`; and it is when it would be the
    tenth trial (or a later one) of a family that has no control trial yet. A share of 0 turns
    both off.

    Args:
        seed: The search's seed.
        number: The trial's number.
        family_arms: Arms of the earlier trials of the proposal's family.
        share: Probability of the control arm.

    Raises:
        ValueError: `0 <= share <= 1` or `number >= 0` does not hold.
    """
    exact = _checked_share(share, number)
    if not exact:
        return False
    if _unit("control", seed, number) < exact:
        return True
    return (
        len(family_arms) >= TRIALS_BEFORE_A_FAMILY_NEEDS_CONTROL and "control" not in family_arms
    )


def assign_arm(
    seed: int,
    number: int,
    family_arms: Sequence[Arm],
    *,
    random_share: float = DEFAULT_RANDOM_SHARE,
    control_share: float = DEFAULT_CONTROL_SHARE,
) -> Arm:
    """The arm of a draw that is no baseline: `random`, `control` or `sampler`.

    Args:
        seed: The search's seed.
        number: The draw's number, 0-based; the same for the whole life of the trial.
        family_arms: Arms of the earlier trials of its family (of no weight for a random draw).
        random_share: Share of random draws, exact over any run of them.
        control_share: Probability of the control arm.

    Raises:
        ValueError: A share outside [0, 1], or a negative number.
    """
    if is_random(seed, number, random_share):
        return "random"
    if is_control(seed, number, family_arms, control_share):
        return "control"
    return "sampler"


def _num_random(seed: int, number: int, share: float) -> int:
    """How many of the draws before `number` are random."""
    return int(number * _checked_share(share, number) + _unit("random", seed))


def _checked_share(share: float, number: int) -> Fraction:
    """The share as an exact fraction: 0.1 as 1/10, so that ten draws hold exactly one."""
    if not 0 <= share <= 1 or number < 0:
        raise ValueError(
            f"`0 <= share <= 1` and `number >= 0` must hold, but got "
            f"(share={share}, number={number})"
        )
    return Fraction(share).limit_denominator(1_000_000)


def _unit(*key: str | int) -> Fraction:
    """A fixed pseudo-random number in [0, 1) for a key, the same on every machine."""
    text = "/".join(str(part) for part in key)
    return Fraction(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]), 2**64)
