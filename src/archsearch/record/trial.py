"""What the record says of one trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Outcome = Literal["completed", "stopped", "diverged", "out_of_memory", "infeasible", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        result: An `EpochResult`'s fields, null where not finite.
        sequence: Its place among all recorded epochs; None before the database has given it.
    """

    epoch: int
    attempt: int
    val_accuracy: float | None
    result: dict[str, Any]
    checkpoint: str | None
    checksum: str | None
    created_ms: int
    sequence: int | None = None


@dataclass(frozen=True)
class TrialRecord:
    """One trial: what was asked, how it went, how it ended.

    Attributes:
        number: Ours, from 0, without gaps.
        params: Flat parameters as the sampler knows them, `family/field`.
        config: The resolved `TrialConfig`, as JSON.
        outcome: None while it runs or waits to be continued.
        rung_epochs: The rung at which it was stopped.
        shadow_rung_epochs: The rung at which it would have been stopped, had its arm allowed it.
        attempts: How each attempt ended, by its number; None for one that runs.
    """

    number: int
    family: str
    name: str
    arm: str
    params: dict[str, Any]
    config: dict[str, Any]
    config_digest: str
    complexity: dict[str, Any]
    outcome: Outcome | None
    reason: str | None
    rung_epochs: int | None
    shadow_rung_epochs: int | None
    created_ms: int
    finished_ms: int | None
    attempts: dict[int, str | None] = field(default_factory=dict)
    epochs: list[EpochRecord] = field(default_factory=list)

    @property
    def val_accuracy(self) -> float | None:
        """The last recorded accuracy on validation data; full fidelity only if completed."""
        return self.epochs[-1].val_accuracy if self.epochs else None

    @property
    def is_finished(self) -> bool:
        """Whether it has an outcome, and so is never trained again."""
        return self.outcome is not None


@dataclass(frozen=True)
class Refusal:
    """A draw that took no number: above a cap, not buildable, or drawn before."""

    before_number: int
    kind: Literal["infeasible", "duplicate"]
    arm: str
    params: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class SearchRow:
    """What the record says of one search as a whole."""

    id: int
    uuid: str
    name: str
    identity: dict[str, Any]
    settings: dict[str, Any]
    space: dict[str, Any]
    created_ms: int
    seconds: float
    finished: bool
    ending: str | None
    holder: dict[str, Any] | None


def incumbent(trials: list[TrialRecord]) -> TrialRecord | None:
    """The best completed trial: full fidelity, validation data; the earlier one of equals."""
    completed = [t for t in trials if t.outcome == "completed" and t.val_accuracy is not None]
    return max(completed, key=lambda t: (t.val_accuracy or 0.0, -t.number), default=None)


def leaderboard(trials: list[TrialRecord]) -> list[TrialRecord]:
    """Every completed trial, best first."""
    completed = [t for t in trials if t.outcome == "completed" and t.val_accuracy is not None]
    return sorted(completed, key=lambda t: (-(t.val_accuracy or 0.0), t.number))
