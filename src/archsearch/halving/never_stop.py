"""The stopping rule under which every trial is trained to its end."""

from __future__ import annotations

import math

from archsearch.halving.decision import Decision
from archsearch.halving.stopping_rule import Ruling, diverged
from archsearch.objective import Objective


class NeverStop:
    """A `StoppingRule` that stops nothing but what has diverged."""

    rungs: tuple[int, ...] = ()

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def report(
        self, trial_number: int, epoch: int, value: float, *, protected: bool = False
    ) -> Ruling:
        """See `StoppingRule.report`."""
        if not math.isfinite(value):
            return diverged(epoch, value, self._objective, is_rung=False)
        return Ruling(Decision.CONTINUE)
