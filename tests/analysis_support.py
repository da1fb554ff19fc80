"""Trials as a record would have them, made up in a line each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archsearch.objective import ACCURACY
from archsearch.record.cells import TrialComplexity
from archsearch.record.trial import EpochRecord, Outcome, TrialRecord
from tests.records import config_of, result_of

CONFIG = config_of("WRN-10-1")
MAX_EPOCHS = CONFIG.max_epochs
RUNGS = (1, 3)
REDUCTION_FACTOR = 3


def epoch(number: int, val_accuracy: float | None, seconds: float = 1.0) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        attempt=1,
        value=val_accuracy,
        result=result_of(
            math.nan if val_accuracy is None else val_accuracy,
            number,
            train_seconds=0.9 * seconds,
            val_seconds=0.1 * seconds,
        ),
        checkpoint=None,
        checksum=None,
        created_ms=0,
    )


def made_trial(
    number: int,
    family: str = "wrn",
    accuracy: float | None = 0.9,
    *,
    arm: str = "random",
    outcome: Outcome | None = "completed",
    macs: int = 1_000_000,
    seconds: float = 1.0,
    at_rungs: Sequence[float] = (),
    shadow: int | None = None,
    epochs: int = MAX_EPOCHS,
) -> TrialRecord:
    """A trial whose curve is flat but at the rungs.

    Args:
        number: Its number.
        family: Its family.
        accuracy: The last epoch's.
        arm: Its arm.
        outcome: How it ended.
        macs: Its cost; parameters are a quarter of that.
        seconds: Of one epoch.
        at_rungs: Accuracies at `RUNGS`; the last one's where not given.
        shadow: Where the rule would have stopped it.
        epochs: How many it has.
    """
    told = dict(zip(RUNGS, at_rungs, strict=False))
    return TrialRecord(
        number=number,
        objective=ACCURACY,
        family=family,
        name=f"{family}-{number}",
        arm=arm,
        params={"family": family},
        config=CONFIG,
        config_digest=str(number),
        complexity=TrialComplexity(params=macs // 4, macs=macs, activations=1),
        outcome=outcome,
        reason=None if outcome is None else outcome,
        rung_epochs=epochs if outcome == "stopped" else None,
        shadow_rung_epochs=shadow,
        created_ms=0,
        finished_ms=None if outcome is None else 1,
        attempts={1: None if outcome is None else "finished"},
        epochs=[epoch(e, told.get(e, accuracy), seconds) for e in range(1, epochs + 1)],
    )


def family_of(
    name: str, accuracies: Sequence[float], *, start: int = 0, macs: int = 1_000_000
) -> list[TrialRecord]:
    """Random members of one family; minus infinity makes one that diverged."""
    return [
        made_trial(start + i, name, None, outcome="diverged", macs=macs, epochs=2)
        if value == -math.inf
        else made_trial(start + i, name, value, macs=macs)
        for i, value in enumerate(accuracies)
    ]
