"""What decides at each epoch whether a trial goes on: the door for another stopping rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from archsearch.halving.decision import Decision
from archsearch.objective import Objective


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


class StoppingRule(Protocol):
    """Rules on the epochs of all search trials, one at a time, as they are reported.

    A search has one rule, which is made from its ladder and its objective. It is never asked
    about confirm runs.

    Call order:
        `report`, once for each epoch of each trial, in the order in which epochs are recorded.
        After a restart every recorded epoch is reported again, in that order.

    Obligations:
        - The same epochs in the same order get the same rulings. No clock, no generator, nothing
          but the calls so far.
        - An epoch that was reported before changes nothing and gets the ruling that it got.
        - A value that is not finite stops any trial at any epoch, protected or not.
        - A protected trial is not stopped otherwise. What would have stopped it is a shadow stop,
          once; from then on its values change no other trial's ruling.
        - A trial alone is not stopped.
        - A trial is stopped, or would have been, at one of `rungs` only.
    """

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which a trial may be stopped, ascending; empty when nobody is."""
        ...

    def report(
        self, trial_number: int, epoch: int, value: float, *, protected: bool = False
    ) -> Ruling:
        """Rule on a trial after `epoch` (1-based).

        Args:
            trial_number: Whose epoch.
            epoch: Which.
            value: Of the objective; which values are better is the objective's to say.
            protected: Whether the trial's arm may not be stopped.
        """
        ...


def diverged(epoch: int, value: float, objective: Objective, *, is_rung: bool) -> Ruling:
    """The ruling on a value that is not finite."""
    reason = f"its {objective.name} was {value} after epoch {epoch}"
    return Ruling(Decision.STOP, rung=epoch if is_rung else None, reason=reason)
