"""What a search was asked for, as its record keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from archsearch.record.cells import Count, Seconds, Stored, Whole
from archsearch.record.policy import Policy, SamplerName, SchedulerName
from archsearch.schema import PreparedData


class SearchSettings(Stored):
    """What the last driver was asked for; `search.request.SearchRequest` says what fields mean.

    URLs are kept without their secrets. What a release did not know yet has its default, which
    is what that release did.
    """

    space: str | None = None
    """As it was asked for: a shipped space's name, or a path."""
    data: PreparedData
    data_reference: str | None = None
    """As it was asked for: a data set's name, or the reference of data of one's own."""
    constant_accuracy: float | None = None
    """Share of the validation images that one answer for all gets right."""
    data_dir: str | None = None
    train_size: Count | None = None
    image_size: Count | None = None
    seed: Count = 0
    trials: Whole
    more_trials: Count | None = None
    time_budget_seconds: Seconds | None = None
    concurrency: Count | None = None
    cpus_per_trial: Whole = 1
    gpus_per_trial: Seconds | None = None
    workers_per_trial: Count | None = None
    sync_batch_norm: bool = False
    linear_scaling: bool = False
    max_epochs: Whole | None = None
    max_params: Count | Literal["none"] | None = None
    max_macs: Count | Literal["default", "none"] = "default"
    retry_memory: bool = False
    sampler: SamplerName = Policy().sampler
    scheduler: SchedulerName = Policy().scheduler
    random_share: Annotated[float, Field(ge=0, le=1)] = Policy().random_share
    control_share: Annotated[float, Field(ge=0, le=1)] = Policy().control_share
    confirm: str | None = None
    hang_seconds: Seconds = 300.0
    name: str | None = None
    runs_dir: str | None = None
    storage: str | None = None
    address: str | None = None
    rungs: tuple[Whole, ...]
    """Epochs after which trials are compared, ascending."""
    tracking_uri: str | None = None

    @property
    def policy(self) -> Policy:
        """How the search decides."""
        return Policy(**self.model_dump(include=set(Policy.model_fields)))
