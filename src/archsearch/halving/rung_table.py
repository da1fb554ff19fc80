"""ASHA, stopping variant: the values seen at each rung, rebuilt by replaying epochs."""

from __future__ import annotations

import math

from archsearch.halving.decision import Decision, standing
from archsearch.halving.rungs import Ladder
from archsearch.halving.stopping_rule import Ruling, diverged
from archsearch.objective import Objective

_GO_ON = Ruling(Decision.CONTINUE)


class RungTable:
    """The `StoppingRule` that compares a trial with all that reached its rung before (ASHA).

    A protected trial (control or random arm) is ruled on like any other, but a stop becomes a
    shadow stop: it goes on, and its later values enter no quantile. The value at the rung itself
    stays, as a stopped trial's does: so every other trial meets exactly the comparison that it
    would have met had the protected one been stopped.
    """

    def __init__(self, ladder: Ladder, objective: Objective) -> None:
        self._objective = objective
        self._ladder = ladder
        self._values: dict[int, dict[int, float]] = {rung: {} for rung in ladder.rungs}
        self._rulings: dict[tuple[int, int], Ruling] = {}
        self._shadow_stopped: set[int] = set()

    @property
    def rungs(self) -> tuple[int, ...]:
        """The decision rungs of the ladder."""
        return self._ladder.rungs

    def values_at(self, rung: int) -> dict[int, float]:
        """Trial number to value of those that count at `rung` (a copy).

        Raises:
            KeyError: `rung` is no decision rung of the ladder.
        """
        return dict(self._values[rung])

    def report(
        self, trial_number: int, epoch: int, value: float, *, protected: bool = False
    ) -> Ruling:
        """See `StoppingRule.report`."""
        if not math.isfinite(value):
            return diverged(epoch, value, self._objective, is_rung=epoch in self._values)
        if epoch not in self._values or trial_number in self._shadow_stopped:
            return self._rulings.get((trial_number, epoch), _GO_ON)
        if (trial_number, epoch) not in self._rulings:
            ruling = self._rule(trial_number, epoch, value, protected)
            self._rulings[trial_number, epoch] = ruling
        return self._rulings[trial_number, epoch]

    def _rule(self, trial_number: int, rung: int, value: float, protected: bool) -> Ruling:
        values = self._values[rung]
        place = standing(value, values.values(), self._ladder.reduction_factor, self._objective)
        values[trial_number] = value
        if place.decision is Decision.CONTINUE:
            return Ruling(Decision.CONTINUE, rung=rung)
        reason = (
            f"{self._objective.format(value)} was number {place.rank} of {place.num_values} "
            f"after epoch {rung}, where the best {place.num_kept} went on"
        )
        if protected:
            self._shadow_stopped.add(trial_number)
            return Ruling(Decision.CONTINUE, shadow_stop=True, rung=rung, reason=reason)
        return Ruling(Decision.STOP, rung=rung, reason=reason)
