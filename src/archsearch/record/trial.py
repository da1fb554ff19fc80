"""What the record says of one trial."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from archsearch.halving.arms import CONFIRM
from archsearch.objective import Objective, objective_named
from archsearch.record.cells import (
    Cell,
    Count,
    Digest,
    HolderCell,
    Milliseconds,
    ParamsCell,
    SearchIdentity,
    Seconds,
    StoredResult,
    TrialComplexity,
    Whole,
)
from archsearch.record.settings import SearchSettings
from archsearch.spaces.trial_config import TrialConfig

Outcome = Literal["completed", "stopped", "diverged", "out_of_memory", "infeasible", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        value: Of the search's objective; None where it was not finite.
        result: What the worker has measured; NaN where it was not finite.
        sequence: Its place among all recorded epochs; None before the database has given it.
    """

    epoch: Whole
    attempt: Whole
    value: float | None
    result: StoredResult
    checkpoint: str | None
    checksum: Digest | None
    created_ms: Milliseconds
    sequence: int | None = None


@dataclass(frozen=True)
class TrialRecord:
    """One trial: what was asked, how it went, how it ended.

    Attributes:
        number: Ours, from 0, without gaps.
        objective: What its search optimises.
        params: Flat parameters as the sampler knows them, `family/field`.
        config: What is trained, resolved.
        outcome: None while it runs or waits to be continued.
        rung_epochs: The rung at which it was stopped.
        shadow_rung_epochs: The rung at which it would have been stopped, had its arm allowed it.
        attempts: How each attempt ended, by its number; None for one that runs.
    """

    number: Count
    objective: Objective
    family: str
    name: str
    arm: str
    params: ParamsCell
    config: TrialConfig
    config_digest: Digest
    complexity: TrialComplexity
    outcome: Outcome | None
    reason: str | None
    rung_epochs: Whole | None
    shadow_rung_epochs: Whole | None
    created_ms: Milliseconds
    finished_ms: Milliseconds | None
    attempts: dict[int, str | None] = field(default_factory=dict)
    epochs: list[EpochRecord] = field(default_factory=list)

    @property
    def value(self) -> float | None:
        """The objective's last recorded value; full fidelity only if completed."""
        return self.epochs[-1].value if self.epochs else None

    @property
    def score(self) -> float | None:
        """The value as a number of which higher is better."""
        return None if self.value is None else self.objective.score(self.value)

    @property
    def shown_value(self) -> str:
        """The value for a person."""
        return self.objective.format(self.value)

    @property
    def is_finished(self) -> bool:
        """Whether it has an outcome, and so is never trained again."""
        return self.outcome is not None

    @property
    def is_confirm_run(self) -> bool:
        """Whether it repeats a finalist, whose `config_digest` it has, and is no search trial."""
        return self.arm == CONFIRM


@dataclass(frozen=True)
class Refusal:
    """A draw that took no number: above a cap, not buildable, or drawn before.

    Attributes:
        before_number: How many search trials there were; the number of the next one, where no
            confirm run came before.
    """

    before_number: Count
    kind: Literal["infeasible", "duplicate"]
    arm: str
    params: ParamsCell
    reason: str


@dataclass(frozen=True)
class SearchRow:
    """What the record says of one search as a whole.

    Attributes:
        identity: What a resume may not change.
        settings: What the last driver was asked for.
        space: As it was written; a newer release may know more fields of it than this one.
    """

    id: Whole
    uuid: str
    name: str
    identity: SearchIdentity
    settings: SearchSettings
    space: Cell
    created_ms: Milliseconds
    seconds: Seconds
    finished: bool
    ending: str | None
    holder: HolderCell | None

    @property
    def objective(self) -> Objective:
        """What it optimises.

        Raises:
            UnfitError: A newer release has begun it, with an objective that this one has not.
        """
        return objective_named(self.identity.objective)


FINISHED = "finished"
"""The ending of a search that has all that was asked for."""


def whole_space_of(search: SearchRow) -> str | None:
    """That every member of the space was tried, as the ending says it; None where it does not."""
    ending = search.ending or ""
    return ending.removeprefix(f"{FINISHED}: ") if ending.startswith(f"{FINISHED}: ") else None


def search_trials(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that the search proposed: all but the confirm runs of its finalists."""
    return [trial for trial in trials if not trial.is_confirm_run]


def confirm_runs(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The runs that repeat finalists."""
    return [trial for trial in trials if trial.is_confirm_run]


def incumbent(trials: list[TrialRecord]) -> TrialRecord | None:
    """The best completed search trial: full fidelity, validation data; the earlier of equals."""
    return next(iter(leaderboard(trials)), None)


def leaderboard(trials: list[TrialRecord]) -> list[TrialRecord]:
    """Every completed search trial, best first, the earlier one of equals."""
    completed = [
        t for t in search_trials(trials) if t.outcome == "completed" and t.value is not None
    ]
    return sorted(completed, key=best_first)


def best_first(trial: TrialRecord) -> tuple[float, int]:
    """A key that sorts the best trial first, the earlier one of equals."""
    return trial.objective.sort_key(trial.value), trial.number
