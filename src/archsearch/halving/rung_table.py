"""The values seen at each rung: the scheduler's whole memory, rebuilt by replaying epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archsearch.halving.decision import Decision, standing
from archsearch.halving.rungs import Ladder


@dataclass(frozen=True)
class Ruling:
    """The rule's answer to one reported epoch.

    Attributes:
        decision: What happens to the trial.
        shadow_stop: The rule would have stopped this trial here, but its arm protects it. True at
            one rung at most.
        rung: The decision rung, or None between rungs.
        reason: One sentence for a stop or a shadow stop; None otherwise.
    """

    decision: Decision
    shadow_stop: bool = False
    rung: int | None = None
    reason: str | None = None


_GO_ON = Ruling(Decision.CONTINUE)


class RungTable:
    """Rules on reported epochs as they come; the same order gives the same rulings.

    A protected trial (control or random arm) is ruled on like any other, but a stop becomes a
    shadow stop: it goes on, and its later values enter no quantile. The value at the rung itself
    stays, as a stopped trial's does: so every other trial meets exactly the comparison that it
    would have met had the protected one been stopped.

    To rebuild after a restart, `report` every recorded epoch again in recorded order. An epoch
    that a trial has already reported changes nothing and gets the same ruling.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._values: dict[int, dict[int, float]] = {rung: {} for rung in ladder.rungs}
        self._rulings: dict[tuple[int, int], Ruling] = {}
        self._shadow_stopped: set[int] = set()

    @property
    def ladder(self) -> Ladder:
        """The comparison points."""
        return self._ladder

    def values_at(self, rung: int) -> dict[int, float]:
        """Trial number to value of those that count at `rung` (a copy).

        Raises:
            KeyError: `rung` is no decision rung of the ladder.
        """
        return dict(self._values[rung])

    def report(
        self, trial_number: int, epoch: int, value: float, *, protected: bool = False
    ) -> Ruling:
        """Rule on a trial's validation accuracy after `epoch` (1-based).

        A value that is not finite stops any trial at any epoch, protected or not: it diverged.
        """
        if not math.isfinite(value):
            reason = f"its validation accuracy was {value} after epoch {epoch}"
            rung = epoch if epoch in self._values else None
            return Ruling(Decision.STOP, rung=rung, reason=reason)
        if epoch not in self._values or trial_number in self._shadow_stopped:
            return self._rulings.get((trial_number, epoch), _GO_ON)
        if (trial_number, epoch) not in self._rulings:
            ruling = self._rule(trial_number, epoch, value, protected)
            self._rulings[trial_number, epoch] = ruling
        return self._rulings[trial_number, epoch]

    def _rule(self, trial_number: int, rung: int, value: float, protected: bool) -> Ruling:
        values = self._values[rung]
        place = standing(value, values.values(), self._ladder.reduction_factor)
        values[trial_number] = value
        if place.decision is Decision.CONTINUE:
            return Ruling(Decision.CONTINUE, rung=rung)
        reason = (
            f"{value:.4f} was number {place.rank} of {place.num_values} after epoch {rung}, "
            f"where the best {place.num_kept} went on"
        )
        if protected:
            self._shadow_stopped.add(trial_number)
            return Ruling(Decision.CONTINUE, shadow_stop=True, rung=rung, reason=reason)
        return Ruling(Decision.STOP, rung=rung, reason=reason)
