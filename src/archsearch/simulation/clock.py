"""The virtual clock: a heap of moments at which the epochs of running trials end."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from archsearch.objective import Objective
from archsearch.search.assignment import Assignment, EndReport, EpochReport, Report
from archsearch.simulation.curves import SimulatedEpoch
from archsearch.training.checkpoint_file import checkpoint_name
from archsearch.training.result import CURVES, EpochResult


@dataclass
class Run:
    """One trial on a worker that does not exist."""

    assignment: Assignment
    curve: tuple[SimulatedEpoch, ...]
    objective: Objective
    epoch: int = 0

    @property
    def next_seconds(self) -> float:
        """What its next epoch takes."""
        return self.curve[self.epoch].seconds

    def report(self) -> Report:
        """What the worker says at the end of the next epoch."""
        now = self.curve[self.epoch]
        self.epoch += 1
        number, attempt = self.assignment.number, self.assignment.attempt
        result = _result(self.epoch, now, self.objective)
        if now.is_diverged:
            return EndReport(
                number=number,
                attempt=attempt,
                outcome="diverged",
                reason=str(result.reason),
                result=result,
            )
        return EpochReport(
            number=number,
            attempt=attempt,
            result=result,
            checkpoint=checkpoint_name(self.epoch, attempt),
            checksum="0" * 64,
        )


def _result(epoch: int, now: SimulatedEpoch, objective: Objective) -> EpochResult:
    """The epoch's result; what no decision looks at is left at nothing."""
    measured = dict.fromkeys(CURVES, 0.0) | {objective.metric: now.value}
    return EpochResult(
        **measured,
        epoch=epoch,
        learning_rate=0.0,
        images=0,
        train_seconds=now.seconds,
        val_seconds=0.0,
        micro_batch=1,
        diverged=now.is_diverged,
        reason="its accuracy was no number, as its curve says" if now.is_diverged else None,
    )


@dataclass
class Clock:
    """Moments at which epochs end, the earliest first; of equal ones the one that began first."""

    now: float = 0.0
    device_seconds: float = 0.0
    _ends: list[tuple[float, int, Run]] = field(default_factory=list)
    _begun: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether no epoch runs."""
        return not self._ends

    def start(self, run: Run) -> None:
        """The run's next epoch begins now."""
        self._begun += 1
        heapq.heappush(self._ends, (self.now + run.next_seconds, self._begun, run))

    def advance(self) -> Run:
        """Go to the next end of an epoch; the run whose it is."""
        self.now, _, run = heapq.heappop(self._ends)
        self.device_seconds += run.next_seconds
        return run
