"""What a user asks for, as one frozen value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from archsearch.analysis.finalists import ConfirmSpec, parse_confirm
from archsearch.command_line import command_line
from archsearch.data import data_name
from archsearch.errors import UsageError
from archsearch.record.cells import SearchIdentity
from archsearch.record.paths import checked_name
from archsearch.record.policy import Policy, SamplerName, SchedulerName
from archsearch.redaction import shown_address
from archsearch.schema import Frozen, InputSpec, digest_of
from archsearch.search.parsing import host_and_port
from archsearch.search.preflight import Preflight
from archsearch.search.slots import TrialShape
from archsearch.spaces.limits import MAX_EPOCHS, Constraints
from archsearch.spaces.space import SearchSpace
from archsearch.storage import storage_path

MAX_TRIALS = 1_000_000

MACS_PER_PIXEL_WITHOUT_ACCELERATOR = 160_000
"""Default cap on a processor alone, a pixel of the input: 10 million at 8×8, 125 at 28×28."""


class SearchRequest(Frozen):
    """A search as its user asks for it.

    Everything here but `space`, `data`, `train_size`, `image_size`, `seed`, `max_epochs` and the
    folders may differ when a search is continued; under `linear_scaling`, `workers_per_trial` may
    not either.
    """

    space: str
    """A shipped space's name, or the path of a space file."""
    data: str = "digits"
    """A data set's name, or data of one's own as `FILE.py:NAME`."""
    data_dir: Path | None = None
    """Where the data set's own files are; None looks in the usual places, then downloads."""
    train_size: int | None = Field(default=None, ge=1)
    image_size: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    trials: int = Field(default=20, ge=1, le=MAX_TRIALS)
    more_trials: int | None = Field(default=None, ge=1, le=MAX_TRIALS)
    """So many more than were asked for before; `trials` then follows from the record."""
    time_budget_seconds: float | None = Field(default=None, gt=0, le=1e9)
    """Of the search in all, resumed parts included; then running epochs end and it pauses."""
    concurrency: int | None = Field(default=None, ge=1)
    """Trials at a time; None takes what the machine or cluster has room for."""
    cpus_per_trial: int = Field(default=1, ge=1)
    gpus_per_trial: float | None = Field(default=None, ge=0)
    """GPUs or a fraction of one; None gives each worker one where the machine has any."""
    workers_per_trial: int | None = Field(default=None, ge=1, le=1024)
    """Processes that share each batch of a trial; None gives one, or one a GPU."""
    sync_batch_norm: bool = False
    """Let BatchNorm normalise by the whole batch of all workers; on GPUs only."""
    linear_scaling: bool = False
    """Let each worker take a whole batch, and scale the learning rate with their number."""
    max_epochs: int | None = Field(default=None, ge=1, le=MAX_EPOCHS)
    max_params: int | Literal["none"] | None = None
    max_macs: int | Literal["default", "none"] = "default"
    """Cap on multiply-accumulates; `default` caps only where there is no accelerator."""
    retry_memory: bool = False
    """Draw again what takes as much memory as a trial that ran out of it in an earlier run."""
    sampler: SamplerName | None = None
    """What proposes trials; None takes the search's own, and TPE for a new one."""
    scheduler: SchedulerName | None = None
    """What stops weak trials; None takes the search's own, and ASHA's stopping variant for a new
    one."""
    random_share: float | None = Field(default=None, ge=0, le=1)
    """Share of trials drawn uniformly and never stopped: what a verdict can rest on. None takes
    the search's own, and 0.1 for a new one."""
    confirm: str = "3x3"
    """Finalists and seeds of the confirm runs at the end; `none` for no confirm runs."""
    hang_seconds: float = Field(default=300.0, gt=0)
    """A worker that gives no sign of life for so long is killed as hung."""
    name: str | None = None
    runs_dir: Path = Path("runs")
    storage: str | None = None
    """Where checkpoints go that every worker must reach: a shared folder, or a URI such as
    `s3://BUCKET/PREFIX`; None keeps them in `runs_dir`."""
    database: str | None = None
    tracking_uri: str | None = None
    address: str | None = None
    """Ray cluster to join; None starts Ray on this machine."""

    @field_validator("gpus_per_trial")
    @classmethod
    def _whole_or_a_fraction(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and not gpus.is_integer():
            raise ValueError("above 1 only whole GPUs can be given")
        return gpus

    @field_validator("workers_per_trial")
    @classmethod
    def _one_gpu_each(cls, workers: int | None, info: ValidationInfo) -> int | None:
        gpus = info.data.get("gpus_per_trial")
        if workers is None or not gpus:
            return workers
        if gpus != workers and (workers > 1 or gpus > 1):
            raise ValueError(f"each worker has one GPU, but --gpus-per-trial is {gpus:g}")
        return workers

    @field_validator("name")
    @classmethod
    def _legal_name(cls, name: str | None) -> str | None:
        try:
            return name if name is None else checked_name(name)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @field_validator("confirm")
    @classmethod
    def _legal_confirm(cls, confirm: str) -> str:
        try:
            spec = parse_confirm(confirm)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return "none" if spec is None else str(spec)

    @field_validator("storage")
    @classmethod
    def _legal_storage(cls, storage: str | None) -> str | None:
        try:
            return storage if storage is None else str(storage_path(storage))
        except UsageError as error:
            raise ValueError(str(error)) from None

    @field_validator("address")
    @classmethod
    def _legal_address(cls, address: str | None) -> str | None:
        if address not in (None, "auto") and host_and_port(address) is None:
            raise ValueError("give auto, HOST:PORT or ray://HOST:PORT")
        return address

    @classmethod
    def checked(cls, **fields: Any) -> Self:
        """A request from a command line, every problem in one message.

        Raises:
            UsageError: A field is out of range.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            problems = [
                f"{_option(str(e['loc'][0]))} {e['input']}: "
                + e["msg"].removeprefix("Value error, ")
                for e in error.errors()
            ]
            raise UsageError("; ".join(problems)) from None

    def shape(self, gpus_per_trial: float) -> TrialShape:
        """The workers of a trial.

        More GPUs than one are for as many workers. Each worker has at least one processor, and a
        trial at most those that it was given, where they go round.

        Args:
            gpus_per_trial: As asked for, or as the machine has them.
        """
        workers = self.workers_per_trial or max(1, int(gpus_per_trial))
        return TrialShape(
            num_workers=workers,
            num_cpus=max(1, self.cpus_per_trial // workers),
            num_gpus=gpus_per_trial / workers,
        )

    def policy(self, name: str, recorded: Policy | None = None) -> Policy:
        """How the search decides: as it did before, or as is asked for.

        Args:
            name: The search's, for messages.
            recorded: Its policy so far; None for a new search.

        Raises:
            UsageError: Another sampler or stopping rule is asked for than it was begun with.
        """
        asked = Policy.model_fields.keys() & self.model_fields_set
        changes = {field: getattr(self, field) for field in asked}
        changes = {field: value for field, value in changes.items() if value is not None}
        return Policy(**changes) if recorded is None else recorded.continued(name, changes)

    @property
    def confirm_spec(self) -> ConfirmSpec | None:
        """How the search ends; None without confirm runs."""
        return parse_confirm(self.confirm)

    def chosen_name(self, space: SearchSpace, identity: SearchIdentity) -> str:
        """The search's name: the user's, or one derived from what a resume may not change."""
        if self.name is not None:
            return self.name
        return f"{space.name}-{data_name(self.data)}-{digest_of(identity.as_json())[:8]}"

    def command(self, **changes: object) -> str:
        """The command line that asks for the same, with some fields changed; without secrets."""
        words = []
        request = self.model_copy(update=changes)
        more = request.more_trials
        for name, field in type(self).model_fields.items():
            value = getattr(request, name)
            if name == "more_trials":
                continue
            if name == "trials" and more is not None:
                value = f"+{more}"
            if value is True:
                words.append(_option(name))
            elif field.is_required() or value != field.default:
                told = f"{value:.12g}" if isinstance(value, float) else shown_address(str(value))
                words += [_option(name), told]
        return command_line("search", *words)

    def batch_scale(self, shape: TrialShape) -> int:
        """How many times its recipe's a trial's batch is."""
        return shape.num_workers if self.linear_scaling else 1

    def preflight(self, space: SearchSpace, input_spec: InputSpec, shape: TrialShape) -> Preflight:
        """The caps of space and user, the default one where there is no accelerator."""
        caps = [(space.constraints, "the space's `constraints`")]
        if isinstance(self.max_params, int):
            caps.append((Constraints(max_params=self.max_params), "--max-params"))
        default_cap = None
        if self.max_macs == "default" and not shape.num_gpus:
            default_cap = default_mac_cap(input_spec)
        cap = default_cap if self.max_macs == "default" else self.max_macs
        if isinstance(cap, int):
            caps.append((Constraints(max_macs=cap), "--max-macs NUMBER or none"))
        return Preflight(
            tuple(caps),
            default_cap,
            num_workers=shape.num_workers,
            batch_scale=self.batch_scale(shape),
        )


def _option(field: str) -> str:
    """How the command line names a field."""
    name = "time_budget" if field == "time_budget_seconds" else field
    return "--" + name.replace("_", "-")


def default_mac_cap(input_spec: InputSpec) -> int:
    """Multiply-accumulates a variant may have where no accelerator is."""
    return MACS_PER_PIXEL_WITHOUT_ACCELERATOR * input_spec.image_size**2
