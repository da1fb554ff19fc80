"""Where the time of the devices went, slot by slot and second by second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.analysis.members import device_seconds
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.timeline import Span, num_slots
from archsearch.record.trial import TrialRecord


@dataclass(frozen=True)
class TimeShare:
    """One use of device time."""

    use: str
    seconds: float
    explanation: str


@dataclass(frozen=True)
class DeviceTime:
    """All uses of the slots' time; the shares add up to `capacity`.

    Attributes:
        slots: Trials at a time, at most, as the record shows.
        capacity: Slot-seconds: slots times the seconds that drivers ran.
        shares: In the order in which a person reads them.
    """

    slots: int
    capacity: float
    shares: tuple[TimeShare, ...]


def device_time(recorded: RecordedSearch, spans: Sequence[Span]) -> DeviceTime:
    """Account for the slots' time.

    Seconds of epochs are measured by the workers. Repeated epochs (started again because their
    worker or their driver was lost) are counted by the workers and charged at their trial's mean
    seconds an epoch. What is left of an attempt is overhead: starting, loading, checkpoints,
    reports. What is left of the slots is waiting.
    """
    slots = num_slots(spans)
    by_use = {use: 0.0 for use in _EXPLANATIONS}
    for trial in recorded.trials:
        by_use[_use_of(trial)] += device_seconds(trial)
        by_use["repeated"] += _repeated_seconds(trial, recorded)
    in_attempts = sum(span.seconds for span in spans)
    by_use["overhead"] = max(0.0, in_attempts - sum(by_use.values()))
    used = sum(by_use.values())
    capacity = max(slots * recorded.search.seconds, used)
    by_use["waiting"] = capacity - used
    shares = tuple(
        TimeShare(use, seconds, _EXPLANATIONS[use])
        for use, seconds in by_use.items()
        if seconds > 0
    )
    return DeviceTime(slots, capacity, shares)


_EXPLANATIONS = {
    "useful": "epochs of trials that were trained to the end",
    "confirming": "epochs of confirm runs: finalists trained again with other seeds",
    "stopped": "epochs of trials that early stopping ended: the price of looking",
    "in progress": "epochs of trials that have no outcome yet",
    "lost": "epochs of trials that diverged, ran out of memory or failed",
    "repeated": "epochs trained again after a worker or a driver was lost (estimated)",
    "overhead": "on a worker, but not in an epoch: starting, loading, checkpoints, reports",
    "waiting": "slots without a trial: starting up, proposing, and the search's last trials",
}


def _use_of(trial: TrialRecord) -> str:
    match trial.outcome:
        case None:
            return "in progress"
        case "completed":
            return "confirming" if trial.arm == "confirm" else "useful"
        case "stopped":
            return "stopped"
        case _:
            return "lost"


def _repeated_seconds(trial: TrialRecord, recorded: RecordedSearch) -> float:
    """Seconds in epochs that count twice; the epoch in which a trial broke is none of them."""
    num_recorded = len(trial.epochs)
    started = recorded.epochs_started.get(trial.number, num_recorded)
    broke = trial.outcome not in ("completed", "stopped")
    repeated = max(0, started - num_recorded - broke)
    return repeated * device_seconds(trial) / num_recorded if num_recorded else 0.0
