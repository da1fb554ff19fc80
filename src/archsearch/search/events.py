"""What a search tells whoever watches it: one small typed event after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from archsearch.objective import Objective, called_by_metric
from archsearch.record.trial import TrialRecord


@dataclass(frozen=True)
class Notice:
    """One line that a person should read."""

    kind: ClassVar[str] = "said"
    text: str


@dataclass(frozen=True)
class WarningNotice:
    """One line that a person should not miss."""

    kind: ClassVar[str] = "warned"
    text: str


@dataclass(frozen=True)
class UnfairnessWarning(WarningNotice):
    """A family is being stopped for being slow: a warning like others that names the family."""

    family: str


@dataclass(frozen=True)
class SearchStarted:
    """Workers are there; trials begin or continue."""

    kind: ClassVar[str] = "search_started"
    name: str
    num_trials: int
    num_slots: int
    devices: str
    objective: Objective
    ended: tuple[TrialEnded, ...]
    """Trials that had ended before, when a search is continued."""


@dataclass(frozen=True)
class PauseChanged:
    """The search waits, or goes on, because `pipeline.control` asked for it."""

    kind: ClassVar[str] = "pause_changed"
    paused: bool

    @property
    def sentence(self) -> str:
        """What a person is told."""
        if self.paused:
            return "paused by `pipeline.control`: running trials end with their epoch, and wait"
        return "the search goes on: the pause was ended by `pipeline.control`"


@dataclass(frozen=True)
class TrialStarted:
    """An attempt at a trial was given to a worker."""

    kind: ClassVar[str] = "trial_started"
    number: int
    attempt: int
    name: str
    family: str
    arm: str
    params: dict[str, Any]


@dataclass(frozen=True)
class EpochFinished:
    """An epoch was recorded."""

    kind: ClassVar[str] = "epoch_finished"
    number: int
    epoch: int
    max_epochs: int
    value: float | None
    objective: Objective


@dataclass(frozen=True)
class ConfirmationStarted:
    """The search has all its trials; its finalists are trained again."""

    kind: ClassVar[str] = "confirmation_started"
    finalists: tuple[tuple[int, str], ...]
    """Number and name of each, best first."""
    num_seeds: int
    num_missing: int
    """Runs that are still to be started; fewer than all when it goes on."""


@dataclass(frozen=True)
class WinnerFound:
    """All confirm runs have ended, and the test split was read."""

    kind: ClassVar[str] = "winner_found"
    winner: dict[str, Any]
    objective: Objective
    """As in `pipeline.status --json`."""


@dataclass(frozen=True)
class TrialEnded:
    """A trial has its outcome."""

    kind: ClassVar[str] = "trial_ended"
    number: int
    name: str
    family: str
    arm: str
    outcome: str
    reason: str
    epochs: int
    value: float | None
    objective: Objective


Event = (
    Notice
    | WarningNotice
    | SearchStarted
    | PauseChanged
    | TrialStarted
    | EpochFinished
    | TrialEnded
    | ConfirmationStarted
    | WinnerFound
)
Listener = Callable[[Event], None]


def as_json(event: Event) -> dict[str, Any]:
    """The event as one JSON object, its kind first; a value is called by its metric."""
    return {"event": event.kind, **asdict(event, dict_factory=called_by_metric)}


def trial_ended(trial: TrialRecord) -> TrialEnded:
    """The event of a trial that has just been given its outcome."""
    assert trial.outcome is not None
    assert trial.reason is not None
    return TrialEnded(
        trial.number,
        trial.name,
        trial.family,
        trial.arm,
        trial.outcome,
        trial.reason,
        len(trial.epochs),
        trial.value,
        trial.objective,
    )
