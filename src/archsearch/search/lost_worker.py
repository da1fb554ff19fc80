"""How a trial can lose its worker, and how often that is forgiven."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from archsearch.record.trial import Outcome
from archsearch.record.writer import Ending

LostWorkerKind = Literal["lost", "preempted", "memory", "hung"]

# What is nobody's fault is forgiven more often than what a variant may cause.
_FORGIVEN: dict[LostWorkerKind, int] = {"lost": 4, "preempted": 100, "memory": 1, "hung": 1}
TAKEN_BACK = "its machine was taken back"
"""Why a worker is `preempted`."""

_OUTCOME: dict[LostWorkerKind, Outcome] = {
    "lost": "failed",
    "preempted": "failed",
    "memory": "out_of_memory",
    "hung": "failed",
}


@dataclass(frozen=True)
class LostWorker:
    """A worker is gone with its trial.

    Attributes:
        kind: `lost` (killed, its node gone), `preempted` (the node was taken back), `memory`
            (the node ran out of host memory), `hung` (killed after too long without a sign
            of life).
        reason: For a person.
    """

    kind: LostWorkerKind
    reason: str

    def ending(self, ended_attempts: Iterable[str | None]) -> Ending | None:
        """The trial's ending, once workers were lost in this way too often; else it goes on.

        Args:
            ended_attempts: How the trial's attempts ended, this one included.
        """
        times = sum(ended == self.kind for ended in ended_attempts)
        if times <= _FORGIVEN[self.kind]:
            return None
        reason = f"its worker was {self.kind} {times} times; the last time: {self.reason}"
        if self.kind == "memory":
            reason = f"{self.reason}, the last time alone on its machine"
        return Ending(_OUTCOME[self.kind], reason)
