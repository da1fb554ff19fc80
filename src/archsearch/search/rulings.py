"""What follows from one epoch's result: pure functions."""

from __future__ import annotations

import math

from archsearch.halving.arms import is_protected
from archsearch.halving.decision import Decision
from archsearch.halving.stopping_rule import Ruling
from archsearch.record.trial import TrialRecord
from archsearch.record.writer import Ending
from archsearch.training.result import EpochResult


def ending_of(trial: TrialRecord, result: EpochResult, ruling: Ruling) -> Ending | None:
    """How the trial ends with this epoch, if it does."""
    objective, max_epochs = trial.objective, trial.config.max_epochs
    if result.diverged or not math.isfinite(objective.of(result)):
        no_number = f"its {objective.short} is no number"
        return Ending("diverged", result.reason or ruling.reason or no_number)
    if result.epoch >= max_epochs:
        told = f"all {max_epochs} epochs" if max_epochs > 1 else "its one epoch"
        return Ending("completed", f"trained for {told}")
    if ruling.decision is Decision.STOP:
        return Ending("stopped", ruling.reason or "", ruling.rung)
    return None


def is_protected_trial(trial: TrialRecord) -> bool:
    """Whether early stopping leaves this trial alone."""
    return trial.arm == "baseline" or is_protected(trial.arm)  # type: ignore[arg-type]
