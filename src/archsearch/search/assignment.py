"""What travels to a worker and what comes back: plain data, no Ray."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from archsearch.record.messages import SystemMetrics
from archsearch.record.trial import Outcome
from archsearch.schema import Frozen, PreparedData
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.result import EpochResult


class Assignment(Frozen):
    """One attempt at one trial."""

    number: int = Field(ge=0)
    attempt: int = Field(ge=1)
    issued_attempts: tuple[int, ...]
    """All attempts so far, this one included: only their checkpoints are trusted."""
    config: TrialConfig
    data: PreparedData
    folder: str
    """Of the trial's checkpoints and log: an absolute path or a URI that every worker reaches."""
    shared: str | None = None
    """The storage from which a worker gets the data if the file is not on its machine."""
    num_workers: int = Field(default=1, ge=1)
    """Processes that train it together."""
    num_threads: int = Field(ge=1)
    """Of each of them."""
    num_gpus: float = Field(ge=0)
    """Of each of them."""
    sync_batch_norm: bool = False
    """Whether BatchNorm normalises by the batch of all workers."""
    sign_seconds: float = Field(default=5.0, gt=0)
    """Between two signs of life while an epoch is trained."""


class EpochReport(Frozen):
    """An epoch is finished: its checkpoint is published."""

    kind: Literal["epoch"] = "epoch"
    number: int
    attempt: int
    result: EpochResult
    checkpoint: str
    checksum: str
    """Hexadecimal SHA-256 of the checkpoint's payload."""
    load: SystemMetrics | None = None
    warnings: tuple[str, ...] = ()


class EndReport(Frozen):
    """A trial has ended by itself, other than by its last epoch."""

    kind: Literal["end"] = "end"
    number: int
    attempt: int
    outcome: Outcome
    reason: str
    result: EpochResult | None = None
    """The epoch in which it diverged; it has no checkpoint."""
    warnings: tuple[str, ...] = ()


class TroubleReport(Frozen):
    """The worker's machine is not fit (no space, data gone): the search cannot go on like this."""

    kind: Literal["trouble"] = "trouble"
    number: int
    attempt: int
    reason: str
    warnings: tuple[str, ...] = ()


Report = Annotated[EpochReport | EndReport | TroubleReport, Field(discriminator="kind")]
