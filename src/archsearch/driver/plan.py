"""Everything about a search that is settled before it touches its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archsearch.command_line import command_line
from archsearch.data import DataSpec, PreparedData, prepare
from archsearch.data.balance import class_balance
from archsearch.driver.code_version import code_version, library_versions
from archsearch.engine.capacity import check_answers, check_machine
from archsearch.engine.security import admit_cluster
from archsearch.engine.weights import fetch_weights
from archsearch.errors import UnfitError, UsageError
from archsearch.halving.rungs import Ladder
from archsearch.objective import Objective, objective_named
from archsearch.phrases import plural
from archsearch.record.cells import SearchIdentity
from archsearch.record.messages import SearchStarted
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.policy import Policy
from archsearch.record.settings import SearchSettings
from archsearch.record.trial import SearchRow
from archsearch.search.choices import STOPPING_RULES
from archsearch.search.events import Listener, Notice, WarningNotice
from archsearch.search.identity import identity_of
from archsearch.search.preflight import Preflight, check_feasible
from archsearch.search.request import SearchRequest
from archsearch.search.slots import TrialShape
from archsearch.spaces.load import load_space
from archsearch.spaces.space import SearchSpace
from archsearch.tracking.store import TrackingStore, tracking_store


@dataclass(frozen=True)
class Plan:
    """A request with what it names: the space read, the data prepared, caps and rungs known."""

    request: SearchRequest
    space: SearchSpace
    data: PreparedData
    ladder: Ladder
    policy: Policy
    preflight: Preflight
    shape: TrialShape
    identity: SearchIdentity
    paths: SearchPaths
    store: TrackingStore
    constant_accuracy: float | None
    """What one answer for all validation images reaches; None where images have several."""

    @property
    def gpus_per_trial(self) -> float:
        """Of all workers of a trial, or a fraction of one."""
        return self.shape.total_gpus

    @property
    def batch_scale(self) -> int:
        """How many times its recipe's a trial's batch is."""
        return self.request.batch_scale(self.shape)

    @property
    def database(self) -> Path | str:
        """Where the record is: a file, or a server's URL."""
        return self.paths.database if self.request.database is None else self.request.database

    @property
    def track_command(self) -> str:
        """What delivers to tracking later what it misses now."""
        words = [self.paths.name]
        if self.request.runs_dir != Path("runs"):
            words += ["--runs-dir", str(self.request.runs_dir)]
        return command_line("track", *words)

    @property
    def objective(self) -> Objective:
        """What the search optimises."""
        return objective_named(self.space.objective)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials may be stopped, ascending."""
        return STOPPING_RULES[self.policy.scheduler](self.ladder, self.objective).rungs

    @property
    def early_stopping(self) -> str:
        """What a user should know about early stopping in this search, in one sentence."""
        if self.policy.scheduler == "none":
            return "No trial is stopped early, as --scheduler none asks."
        return self.ladder.sentence

    def settings(self) -> SearchSettings:
        """What was asked for, as the record keeps it; URLs without their secrets."""
        request = self.request.model_dump(mode="json", exclude={"database", "tracking_uri"})
        own = {
            "data": self.data,
            "data_reference": self.request.data,
            "constant_accuracy": self.constant_accuracy,
            "rungs": self.rungs,
            "tracking_uri": self.store.recorded,
        }
        return SearchSettings.model_validate(request | self.policy.model_dump() | own)

    def announcement(self, search: SearchRow) -> SearchStarted:
        """What tracking is told when a driver starts."""
        return SearchStarted(
            name=search.name,
            uuid=search.uuid,
            space_name=str(search.space.get("name", self.space.name)),
            space=search.space,
            data=self.data.description,
            identity=search.identity,
            settings=self.settings(),
            tags=code_version() | library_versions(),
            command=self.request.command(name=search.name),
        )


def make_plan(request: SearchRequest, listener: Listener) -> Plan:
    """Read the space, prepare the data, fetch pretrained weights; say what follows from them.

    Raises:
        UsageError: A name, the space file or an option is wrong.
        UnfitError: The machine is too small, no cluster answers or it is open to everybody, a
            folder cannot be written, data or weights are not there or damaged, or nothing in
            the space can be trained.
    """
    space = load_space(request.space)
    runs = RunsFolder(request.runs_dir)
    store = tracking_store(runs, request.tracking_uri)
    spec = DataSpec(
        name=request.data, train_size=request.train_size, image_size=request.image_size
    )
    if request.address is not None:
        check_answers(request.address)
        for sentence in admit_cluster(request.address):
            listener(Notice(sentence))
    shape = request.shape(_gpus_per_trial(request, listener))
    _check_options(request, shape)
    check_machine(request, shape)
    runs.make()
    data = prepare(spec, cache_dir=runs.data_cache, data_dir=request.data_dir)
    _check_images(data, shape)
    preflight = request.preflight(space, data.input_spec, shape)
    check_feasible(preflight, space, data.input_spec)
    batch_scale = request.batch_scale(shape)
    ladder = _ladder(space, data, request.max_epochs or space.fidelity.max_epochs, batch_scale)
    identity = identity_of(request, space, data, batch_scale)
    paths = runs.search(request.chosen_name(space, identity), request.storage)
    listener(Notice(f"search {paths.name}: {space.name} on {data.name}, {_size(data)}"))
    balance = class_balance(data)
    if balance is not None:
        listener(Notice(balance.sentence))
        for sentence in balance.warnings:
            listener(WarningNotice(sentence))
    for sentence in fetch_weights(space):
        listener(Notice(sentence))
    if preflight.default_cap is not None:
        listener(
            Notice(
                f"No accelerator: variants above {preflight.default_cap:,} MACs are refused "
                "(lift: --max-macs NUMBER or none)."
            )
        )
    if shape.num_workers > 1:
        listener(Notice(_sharing(shape, batch_scale)))
    policy = request.policy(paths.name)
    constant = None if balance is None else balance.constant_accuracy
    return Plan(
        request, space, data, ladder, policy, preflight, shape, identity, paths, store, constant
    )


def _check_options(request: SearchRequest, shape: TrialShape) -> None:
    """Refuse options of several workers that would do nothing, or could not."""
    for option, is_given in (
        ("--sync-batch-norm", request.sync_batch_norm),
        ("--linear-scaling", request.linear_scaling),
    ):
        if is_given and shape.num_workers == 1:
            raise UsageError(
                f"{option} is for trials of several workers, and here each has one: ask for them "
                "by --workers-per-trial or --gpus-per-trial, or leave it out"
            )
    if request.sync_batch_norm and not shape.num_gpus:
        raise UsageError(
            "--sync-batch-norm needs GPUs (torch's SyncBatchNorm refuses the tensors of a "
            "processor), and a trial has none here: leave it out, or give --gpus-per-trial"
        )


def _check_images(data: PreparedData, shape: TrialShape) -> None:
    """Refuse fewer training images than the smallest batch that BatchNorm can normalise.

    Raises:
        UnfitError: There are fewer.
    """
    needed = 2 * shape.num_workers
    if data.num_train < needed:
        each = f" for each of {shape.num_workers} workers" if shape.num_workers > 1 else ""
        raise UnfitError(
            f"`{data.name}` leaves {plural(data.num_train, 'image')} to train on, but BatchNorm "
            f"needs two{each} at a time: give more images"
            + (", or fewer --workers-per-trial" if each else "")
        )


def _sharing(shape: TrialShape, batch_scale: int) -> str:
    who = f"{shape.num_workers} workers" + (", a GPU each" if shape.num_gpus else "")
    if batch_scale == 1:
        return f"Each trial is trained by {who}, which share its batches."
    return (
        f"Each trial is trained by {who}, with a whole batch each and {batch_scale} times the "
        "learning rate (linear scaling rule)."
    )


def _size(data: PreparedData) -> str:
    side = f"{data.in_channels}×{data.image_size}×{data.image_size}"
    return f"{data.num_train:,} training and {data.num_val:,} validation images of {side}"


def _ladder(
    space: SearchSpace, data: PreparedData, max_epochs: int, batch_scale: int = 1
) -> Ladder:
    largest = min(space.largest_batch_size * batch_scale, data.num_train)
    steps = max(1, data.num_train // largest)
    fidelity = space.fidelity
    grace = fidelity.grace_period_epochs
    return Ladder.for_search(
        max_epochs, fidelity.reduction_factor, steps, min(grace, max_epochs) if grace else None
    )


def _gpus_per_trial(request: SearchRequest, listener: Listener) -> float:
    """What was asked for, or one GPU for each worker where the machine or cluster has any."""
    if request.gpus_per_trial is not None:
        return request.gpus_per_trial
    workers = float(request.workers_per_trial or 1)
    if request.address is None:
        import torch

        return workers if torch.cuda.is_available() else 0.0
    from archsearch.engine.session import gpus_of_cluster

    there = gpus_of_cluster(request)
    if there:
        listener(Notice(f"The cluster has {there:g} GPUs: each worker of a trial takes one."))
        return workers
    listener(
        Notice(
            "The cluster has no GPU now, so trials take none: if nodes that join later have some, "
            "say so by --gpus-per-trial 1."
        )
    )
    return 0.0
