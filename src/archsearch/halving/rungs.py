"""At which epochs trials are compared: integers only, no logarithms.

Symbols of Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (ASHA): r is
`grace_period_epochs`, R is `max_epochs`, eta is `reduction_factor`; one bracket (s = 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

MIN_STEPS_BEFORE_A_STOP = 100
"""Optimizer steps below which ranks of variants were measured to be noise."""


def rung_epochs(
    grace_period_epochs: int, max_epochs: int, reduction_factor: int
) -> tuple[int, ...]:
    """The levels r * eta**k that are not above R, ascending.

    `max_epochs` itself is among them only when it is hit exactly: (1, 243, 3) gives
    (1, 3, 9, 27, 81, 243), and (1, 10, 3) gives (1, 3, 9).

    Raises:
        ValueError: `1 <= grace_period_epochs <= max_epochs` or `reduction_factor >= 2` does not
            hold.
    """
    _check_reduction_factor(reduction_factor)
    if not 1 <= grace_period_epochs <= max_epochs:
        raise ValueError(
            "`1 <= grace_period_epochs <= max_epochs` must hold, but got "
            f"(grace_period_epochs={grace_period_epochs}, max_epochs={max_epochs})"
        )
    levels = []
    level = grace_period_epochs
    while level <= max_epochs:
        levels.append(level)
        level *= reduction_factor
    return tuple(levels)


def decision_rungs(
    grace_period_epochs: int, max_epochs: int, reduction_factor: int
) -> tuple[int, ...]:
    """The rungs at which a trial may be stopped: those below `max_epochs`, where it ends anyway.

    Raises:
        ValueError: As `rung_epochs`.
    """
    levels = rung_epochs(grace_period_epochs, max_epochs, reduction_factor)
    return tuple(level for level in levels if level < max_epochs)


def grace_period_epochs(max_epochs: int, steps_per_epoch_at_largest_batch: int) -> int:
    """Epochs before any trial of a search may be stopped, fixed for the whole search.

    The larger of 10 % of `max_epochs` and of what `MIN_STEPS_BEFORE_A_STOP` optimizer steps take
    at the largest batch of the space, both rounded up. It may exceed `max_epochs`: then there is
    nothing to stop at.

    Raises:
        ValueError: An argument is below 1.
    """
    if max_epochs < 1 or steps_per_epoch_at_largest_batch < 1:
        raise ValueError(
            "`max_epochs >= 1` and `steps_per_epoch_at_largest_batch >= 1` must hold, but got "
            f"(max_epochs={max_epochs}, "
            f"steps_per_epoch_at_largest_batch={steps_per_epoch_at_largest_batch})"
        )
    tenth = -(-max_epochs // 10)
    enough_steps = -(-MIN_STEPS_BEFORE_A_STOP // steps_per_epoch_at_largest_batch)
    return max(tenth, enough_steps)


@dataclass(frozen=True)
class Ladder:
    """The comparison points of one search.

    With no decision rung below `max_epochs`, the final level stands alone: nobody is stopped.

    Attributes:
        grace_period_epochs: Smallest epoch at which a trial may be stopped; above `max_epochs`
            is allowed here, because it may have been computed from the data.
        max_epochs: Epochs of full fidelity.
        reduction_factor: About one in this many goes on from each rung.

    Raises:
        ValueError: `grace_period_epochs`, `max_epochs` >= 1 or `reduction_factor` >= 2 does not
            hold.
    """

    grace_period_epochs: int
    max_epochs: int
    reduction_factor: int

    def __post_init__(self) -> None:
        _check_reduction_factor(self.reduction_factor)
        if self.grace_period_epochs < 1 or self.max_epochs < 1:
            raise ValueError(
                "`grace_period_epochs >= 1` and `max_epochs >= 1` must hold, but got "
                f"(grace_period_epochs={self.grace_period_epochs}, max_epochs={self.max_epochs})"
            )

    @classmethod
    def for_search(
        cls,
        max_epochs: int,
        reduction_factor: int,
        steps_per_epoch_at_largest_batch: int,
        grace_period: int | None = None,
    ) -> Ladder:
        """The ladder of a search; `grace_period` (epochs), when given, replaces the computed one.

        Raises:
            ValueError: As the class, as `grace_period_epochs`; or `grace_period` exceeds
                `max_epochs`.
        """
        if grace_period is None:
            grace = grace_period_epochs(max_epochs, steps_per_epoch_at_largest_batch)
            return cls(grace, max_epochs, reduction_factor)
        rung_epochs(grace_period, max_epochs, reduction_factor)  # refuses what was asked wrongly
        return cls(grace_period, max_epochs, reduction_factor)

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The decision rungs, ascending; empty when nobody is stopped."""
        if self.grace_period_epochs >= self.max_epochs:
            return ()
        return decision_rungs(self.grace_period_epochs, self.max_epochs, self.reduction_factor)

    @property
    def stops_trials(self) -> bool:
        """Does at least one decision rung lie below `max_epochs`?"""
        return bool(self.rungs)

    @property
    def sentence(self) -> str:
        """What a user should know about early stopping in this search, in one sentence."""
        if not self.stops_trials:
            return (
                f"No trial is stopped early: the grace period is {self.grace_period_epochs} "
                f"epochs of at most {self.max_epochs}, so no comparison point is left below the "
                "last epoch (raise max_epochs, lower the largest batch size or take more images)."
            )
        rungs = ", ".join(str(rung) for rung in self.rungs)
        return (
            f"Weak trials are stopped after epoch {rungs} (of {self.max_epochs}); about one in "
            f"{self.reduction_factor} goes on each time."
        )


def _check_reduction_factor(reduction_factor: int) -> None:
    if reduction_factor < 2:
        raise ValueError(
            f"`reduction_factor >= 2` must hold, but got reduction_factor={reduction_factor}"
        )
