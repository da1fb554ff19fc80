"""How far the order at a rung is the order at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.analysis.members import LOST
from archsearch.record.trial import TrialRecord


@dataclass(frozen=True)
class Outcome:
    """A protected trial whose end is known.

    Attributes:
        number: The trial's.
        family: The trial's.
        arm: The trial's.
        at_rung: Rung to the score there, of which higher is better; minus infinity where it was
            lost before.
        final: Score at full fidelity; minus infinity if it was lost.
        shadow_rung_epochs: The rung at which the rule would have stopped it, or None.
    """

    number: int
    family: str
    arm: str
    at_rung: dict[int, float]
    final: float
    shadow_rung_epochs: int | None

    @property
    def is_trained(self) -> bool:
        """Whether it was trained to its end."""
        return self.final > -math.inf


@dataclass(frozen=True)
class RungAgreement:
    """One rung against the end, among the control trials of one family.

    Attributes:
        rung_epochs: The rung.
        num_trials: Control trials that are ranked.
        kendall_tau: Kendall's tau-b of the values there with the final ones; None below five
            control trials, or where all values are equal.
    """

    rung_epochs: int
    num_trials: int
    kendall_tau: float | None


def outcomes(trials: Sequence[TrialRecord], rungs: Sequence[int]) -> list[Outcome]:
    """The trials whose end is known, by number: completed, or lost by their own doing.

    Failed trials (the machine's or the user's fault) and unfinished ones are left out.
    """
    known = []
    for trial in sorted(trials, key=lambda t: t.number):
        is_lost = trial.outcome in LOST
        if not is_lost and (trial.outcome != "completed" or trial.score is None):
            continue
        score = trial.objective.score
        reached = {e.epoch: score(e.value) for e in trial.epochs if e.value is not None}
        known.append(
            Outcome(
                number=trial.number,
                family=trial.family,
                arm=trial.arm,
                at_rung={rung: reached.get(rung, -math.inf) for rung in rungs},
                final=-math.inf if is_lost else float(trial.score or 0.0),
                shadow_rung_epochs=trial.shadow_rung_epochs,
            )
        )
    return known


def agreements(
    control: Sequence[Outcome], rungs: Sequence[int], *, told: bool
) -> tuple[RungAgreement, ...]:
    """Each rung against the end; correlations only if `told`."""
    return tuple(
        RungAgreement(
            rung,
            len(control),
            kendall_tau([o.at_rung[rung] for o in control], [o.final for o in control])
            if told
            else None,
        )
        for rung in rungs
    )


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b (1945), which counts ties; None where one side has one value only."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    from scipy.stats import kendalltau, rankdata

    # Ranks first: minus infinity is a value like any other here.
    return float(kendalltau(rankdata(first), rankdata(second)).statistic)
