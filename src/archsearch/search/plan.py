"""Everything about a search that is settled before it touches its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.command_line import command_line
from archsearch.data import DataSpec, PreparedData, prepare
from archsearch.halving.rungs import Ladder
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.trial import SearchRow
from archsearch.search.events import Listener, Said
from archsearch.search.preflight import Preflight, check_feasible
from archsearch.search.pretrained import fetch_weights
from archsearch.search.provenance import code_version
from archsearch.search.request import SearchRequest, identity_of
from archsearch.search.room import check_machine
from archsearch.search.security import admit_cluster
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
    preflight: Preflight
    gpus_per_trial: float
    identity: dict[str, Any]
    paths: SearchPaths
    store: TrackingStore

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

    def settings(self) -> dict[str, Any]:
        """What was asked for, as the record keeps it; URLs without their secrets."""
        request = self.request.model_dump(mode="json", exclude={"database", "tracking_uri"})
        return request | {
            "data": self.data.model_dump(mode="json"),
            "rungs": self.ladder.rungs,
            "tracking_uri": self.store.recorded,
        }

    def announcement(self, search: SearchRow) -> dict[str, Any]:
        """What tracking is told when a driver starts."""
        return {
            "name": search.name,
            "uuid": search.uuid,
            "space_name": search.space.get("name", self.space.name),
            "space": search.space,
            "data": self.data.model_dump(mode="json", exclude={"path"}),
            "identity": search.identity,
            "settings": self.settings(),
            "tags": code_version(),
        }


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
    gpus = _gpus_per_trial(request)
    check_machine(request, gpus)
    for sentence in admit_cluster(request.address):
        listener(Said(sentence))
    runs.make()
    data = prepare(spec, cache_dir=runs.data_cache, data_dir=request.data_dir)
    preflight = request.preflight(space, data.input_spec, has_accelerator=gpus > 0)
    check_feasible(preflight, space, data.input_spec)
    ladder = _ladder(space, data, request.max_epochs or space.fidelity.max_epochs)
    identity = identity_of(request, space, data)
    paths = runs.search(request.chosen_name(space, identity))
    listener(Said(f"search {paths.name}: {space.name} on {data.name}, {_size(data)}"))
    listener(Said(ladder.sentence))
    for sentence in fetch_weights(space):
        listener(Said(sentence))
    if preflight.default_cap is not None:
        listener(
            Said(
                f"No accelerator: variants above {preflight.default_cap:,} MACs are refused "
                "(lift: --max-macs NUMBER or none)."
            )
        )
    return Plan(request, space, data, ladder, preflight, gpus, identity, paths, store)


def _size(data: PreparedData) -> str:
    side = f"{data.in_channels}×{data.image_size}×{data.image_size}"
    return f"{data.num_train:,} training and {data.num_val:,} validation images of {side}"


def _ladder(space: SearchSpace, data: PreparedData, max_epochs: int) -> Ladder:
    steps = max(1, data.num_train // min(space.largest_batch_size, data.num_train))
    fidelity = space.fidelity
    grace = fidelity.grace_period_epochs
    return Ladder.for_search(
        max_epochs, fidelity.reduction_factor, steps, min(grace, max_epochs) if grace else None
    )


def _gpus_per_trial(request: SearchRequest) -> float:
    """What was asked for, or one GPU where this machine has any."""
    if request.gpus_per_trial is not None:
        return request.gpus_per_trial
    import torch

    return 1.0 if request.address is None and torch.cuda.is_available() else 0.0
