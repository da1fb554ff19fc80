"""Early stopping, audited: what the trials that were not stopped say about the stops.

Everything here rests on the control arm: the sampler's own proposals that were trained to the end
whatever the rule said, its answer kept as a shadow stop. A control trial is *wrongly stopped* when
it has a shadow stop although its final value is among the best ceil(n / eta) of the n control
trials of its family: among those the rule would have kept, had it known the end. The family's
other trials cannot say what belongs to its best, for early stopping hid where they would have
ended.

How to read the rates: a coin would make 1/eta of the stops wrong. A family that is weaker than
others from the first epoch to the last loses its best, too, and rightly: its rates are high, and
nothing is amiss. Whether a family is stopped for being slow and not for being weak is therefore
another question, see `unfairness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from archsearch.analysis.agreement import Outcome, RungAgreement, agreements, outcomes
from archsearch.analysis.intervals import Interval, wilson_interval
from archsearch.analysis.unfairness import Unfairness, unfairness_by_family
from archsearch.record.trial import TrialRecord

MIN_CONTROL_TRIALS = 5
"""Control trials of a family below which counts are told, but no correlations and no rates."""


@dataclass(frozen=True)
class FamilyAudit:
    """What early stopping did to one family.

    Attributes:
        family: Its name.
        num_trials: All its trials but confirm runs.
        num_stopped: Those that were really stopped.
        num_control: Control trials whose end is known (completed, or lost by diverging or
            running out of memory, which ranks last).
        num_best: Those of them that are among the best ceil(n / eta).
        num_shadow_stopped: Those of them that the rule would have stopped.
        num_wrongly_stopped: Those that it would have stopped although they are of the best.
        wrong_rate: Wrong stops as a share of shadow stops, with a Wilson interval; None below
            `MIN_CONTROL_TRIALS`, or without a shadow stop.
        missed_rate: Wrong stops as a share of the best, likewise.
        rungs: Agreement of each rung with the final order among control trials.
        epochs_trained: Of all its trials.
        epochs_saved: Those that stopped trials were not trained for.
        epochs_for_control: What the control arm cost: epochs after a shadow stop.
        unfair: How the rungs treat it worse than other families; None if they do not, or if that
            cannot be told.
    """

    family: str
    num_trials: int
    num_stopped: int
    num_control: int
    num_best: int
    num_shadow_stopped: int
    num_wrongly_stopped: int
    wrong_rate: Interval | None
    missed_rate: Interval | None
    rungs: tuple[RungAgreement, ...]
    epochs_trained: int
    epochs_saved: int
    epochs_for_control: int
    unfair: Unfairness | None

    @property
    def is_enough(self) -> bool:
        """Whether rates and correlations are told."""
        return self.num_control >= MIN_CONTROL_TRIALS

    def as_json(self) -> dict[str, Any]:
        """The audit as one JSON object."""
        return asdict(self)


def audit(
    trials: Sequence[TrialRecord], rungs: Sequence[int], reduction_factor: int
) -> dict[str, FamilyAudit]:
    """Audit early stopping, family by family, by name.

    Args:
        trials: All trials of the search, finished or not.
        rungs: The decision rungs, in epochs, ascending; empty if nobody was ever stopped.
        reduction_factor: eta.

    Raises:
        ValueError: `reduction_factor >= 2` does not hold.
    """
    unfair = {u.family: u for u in unfairness_by_family(trials, rungs) if u.is_significant}
    searched = [trial for trial in trials if trial.arm != "confirm"]
    return {
        family: _audit_family(
            family,
            [trial for trial in searched if trial.family == family],
            rungs,
            reduction_factor,
            unfair.get(family),
        )
        for family in sorted({trial.family for trial in searched})
    }


def _audit_family(
    family: str,
    trials: Sequence[TrialRecord],
    rungs: Sequence[int],
    reduction_factor: int,
    unfair: Unfairness | None,
) -> FamilyAudit:
    control = outcomes([t for t in trials if t.arm == "control"], rungs)
    best = _best(control, reduction_factor)
    shadow = [o for o in control if o.shadow_rung_epochs is not None]
    wrong = [o for o in shadow if o.number in best]
    enough = len(control) >= MIN_CONTROL_TRIALS
    stopped = [t for t in trials if t.outcome == "stopped"]
    return FamilyAudit(
        family=family,
        num_trials=len(trials),
        num_stopped=len(stopped),
        num_control=len(control),
        num_best=len(best),
        num_shadow_stopped=len(shadow),
        num_wrongly_stopped=len(wrong),
        wrong_rate=wilson_interval(len(wrong), len(shadow)) if enough and shadow else None,
        missed_rate=wilson_interval(len(wrong), len(best)) if enough and best else None,
        rungs=agreements(control, rungs, told=enough),
        epochs_trained=sum(len(t.epochs) for t in trials),
        epochs_saved=sum(t.config.max_epochs - len(t.epochs) for t in stopped),
        epochs_for_control=sum(_after_shadow_stop(t) for t in trials if t.arm == "control"),
        unfair=unfair,
    )


def _best(control: Sequence[Outcome], reduction_factor: int) -> set[int]:
    """Numbers of those among the best ceil(n / eta) at the end; ties are in together.

    A lost trial counts in n, but is never one of the best.
    """
    num_kept = -(-len(control) // reduction_factor)
    return {
        one.number
        for one in control
        if one.is_trained and sum(other.final > one.final for other in control) < num_kept
    }


def _after_shadow_stop(trial: TrialRecord) -> int:
    if trial.shadow_rung_epochs is None:
        return 0
    return max(len(trial.epochs) - trial.shadow_rung_epochs, 0)
