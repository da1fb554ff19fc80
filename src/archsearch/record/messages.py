"""What tracking is told: one frozen model for each kind of message.

A message is written in the transaction of what it tells of, and read once, when it is delivered.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import AliasChoices, Field

from archsearch.objective import DEFAULT, Objective
from archsearch.record.cells import (
    Cell,
    Count,
    ParamsCell,
    SearchIdentity,
    Stored,
    StoredResult,
    TrialComplexity,
    Whole,
)
from archsearch.record.settings import SearchSettings
from archsearch.record.trial import Outcome
from archsearch.schema import DataDescription, Frozen
from archsearch.spaces.trial_config import TrialConfig


class SystemMetrics(Frozen):
    """One sample, with what has happened since the last one of the same worker process.

    It explains speeds and tells of leaks; no result depends on it.
    """

    worker: str
    """Its host name and process id."""
    cpu_percent: float | None = None
    """Busy share of all processors of the machine since the last sample."""
    memory_percent: float | None = None
    """Of the machine's memory, what is in use by anybody."""
    worker_memory_mib: float | None = None
    """Resident memory of the worker's process."""
    gpu_name: str | None = None
    """The product name of the worker's GPU; None where it trains on a processor."""
    gpu_percent: float | None = None
    """Busy share of the worker's GPU; None where its driver does not tell."""
    gpu_memory_mib: float | None = None
    """What the worker's process has reserved on its GPU; PyTorch keeps what it has reserved."""


class SearchStarted(Stored):
    """A driver begins a search or goes on with it."""

    KIND: ClassVar[str] = "search_started"

    name: str
    uuid: str
    space_name: str
    space: Cell
    """As the record has it; its release may know more fields than this one."""
    data: DataDescription
    identity: SearchIdentity
    settings: SearchSettings
    tags: dict[str, str] = Field(default_factory=dict)
    """The code that runs: release, commit where it is known, and versions of libraries."""
    command: str | None = None
    """What a person would type for the same; without secrets."""


class TrialStarted(Stored):
    """A trial is issued for the first time."""

    KIND: ClassVar[str] = "trial_started"

    family: str
    name: str
    arm: str
    params: ParamsCell
    config: TrialConfig
    complexity: TrialComplexity


class EpochEnded(Stored):
    """An epoch of a trial is finished."""

    KIND: ClassVar[str] = "epoch"

    epoch: Whole
    result: StoredResult
    load: SystemMetrics | None = None
    """What the worker asked of its machine."""


class TrialEnded(Stored):
    """A trial has its outcome."""

    KIND: ClassVar[str] = "trial_ended"

    outcome: Outcome
    reason: str
    rung_epochs: Whole | None = None


def _also(name: str) -> AliasChoices:
    """A field's name, and what release 0.1.0 called it, which knew one objective."""
    return AliasChoices(name, name.replace("value", "val_accuracy"))


class LeaderboardRow(Frozen):
    """A completed trial."""

    number: Count
    name: str
    family: str
    value: float | None = Field(validation_alias=_also("value"))
    params: Count | None = None
    macs: Count | None = None


class ConfirmedRow(Frozen):
    """What the confirm runs of one finalist say; `analysis.finalists` has the terms."""

    name: str
    family: str
    trial: Count
    search_value: float | None = Field(validation_alias=_also("search_value"))
    runs: tuple[Count, ...]
    completed: Count
    unsuccessful: dict[str, str] = Field(default_factory=dict)
    mean: float | None
    estimate: float | None
    interval: tuple[float | None, float | None] | None
    """Ends; None for one that is not finite."""
    interval_covers: tuple[str, ...] = ("seeds",)
    """What the interval is over; earlier releases left the images out."""
    probability_best: float
    estimator: str

    def as_json(self, objective: Objective) -> dict[str, Any]:
        """The fields as users see them: values are called by the objective's metric."""
        return {
            key.replace("value", objective.metric): field
            for key, field in self.model_dump(mode="json").items()
        }


class WinnerRow(ConfirmedRow):
    """The winner, its network, and what that answered on the test split."""

    model_trial: Count
    model_value: float | None = Field(validation_alias=_also("model_value"))
    test_accuracy: float | None
    test_interval: tuple[float, float] | None
    num_test: Count | None
    models_read_on_test: Count


class CheckpointFile(Frozen):
    """The last checkpoint of a trial; the file may be gone when this is delivered."""

    number: Count
    path: str


class SearchEnded(Stored):
    """A driver ends; the search is finished, or goes on when its command is given again."""

    KIND: ClassVar[str] = "search_ended"
    VERSION: ClassVar[int] = 2
    """Version 1 knew accuracy alone, and called values so."""

    objective: str = DEFAULT.metric
    """Metric of what the search optimises."""
    finished: bool
    ending: str
    leaderboard: tuple[LeaderboardRow, ...]
    """Best first."""
    confirmed: tuple[ConfirmedRow, ...] = ()
    """Best first."""
    winner: WinnerRow | None = None
    checkpoints: tuple[CheckpointFile, ...] = ()
    reports: tuple[str, ...] = ()
    """Absolute paths of the report's files."""


class WinnerRead(SearchEnded):
    """The test split was read after the search had ended; all is told again, with the answer."""

    KIND: ClassVar[str] = "winner_read"


Payload = SearchStarted | TrialStarted | EpochEnded | TrialEnded | SearchEnded | WinnerRead
PAYLOADS: dict[str, type[Payload]] = {
    payload.KIND: payload
    for payload in (SearchStarted, TrialStarted, EpochEnded, TrialEnded, SearchEnded, WinnerRead)
}
