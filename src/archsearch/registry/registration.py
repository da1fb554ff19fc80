"""From a candidate to a version of a registered model, checked as a stranger would get it.

Every step looks its unique tag up first, so a promotion that was killed anywhere is completed
by calling it again.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.data import load_resident
from archsearch.errors import UnfitError
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.readings import TestReading
from archsearch.record.trained import TrainedTrial
from archsearch.record.trial import SearchRow
from archsearch.registry.lineage import description, lineage
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.registry.versions import VALIDATION_STATUS, Registry
from archsearch.tracking import translation
from archsearch.tracking.client import UnknownRunError
from archsearch.tracking.runs import KnownRuns
from archsearch.tracking.sender import BusyError, deliver
from archsearch.training.standalone import INPUT

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from torch import nn

    from archsearch.registry.package import Latency


@dataclass(frozen=True)
class Challenger:
    """A candidate that is a version, and what was measured of it.

    Attributes:
        version: In the registry.
        model_id: Of the logged model that holds its files.
        run_id: Of its trial.
        difference: Largest difference between its logits and the trial's.
        latency: Of one answer.
        size_bytes: Of the files that hold the network.
    """

    version: RegisteredVersion
    model_id: str
    run_id: str
    difference: float
    latency: Latency
    size_bytes: int


@contextlib.contextmanager
def delivered_runs(
    registry: Registry, database: Database, search: SearchRow
) -> Iterator[KnownRuns]:
    """The runs of a search, under which its models hang; what tracking missed is delivered first.

    Raises:
        UnfitError: Tracking does not know the search.
    """
    runs = KnownRuns(
        registry.client, registry.store, Deliveries(database, search.id, registry.store.key)
    )
    try:
        is_known = runs.verify()
        # A driver that delivers now has told of the trial, or soon will.
        with contextlib.suppress(BusyError):
            deliver(database, search.id, registry.store, rebuild=not is_known)
        if not runs.verify():
            raise UnknownRunError("the search's own run is not there")
        yield runs
    except UnknownRunError as error:
        raise UnfitError(
            f"tracking at {registry.store.label} does not know this search ({error}): deliver it "
            f"by `python -m pipeline.track {search.name} --rebuild`, then promote"
        ) from error


def register(
    registry: Registry,
    runs: KnownRuns,
    candidate: TrainedTrial,
    network: nn.Module,
    reading: TestReading,
    model: str,
) -> Challenger:
    """Log the model, register it as `challenger`, check and measure what the registry gives back.

    Raises:
        UnfitError: What it gives back does not predict what the trial's network does, or does
            not say what it takes and answers.
        UnknownRunError: The search's runs are not there.
    """
    from archsearch.registry.logged_model import link_version, log_model
    from archsearch.registry.package import Package

    client = registry.client
    images = load_resident(candidate.data).val.images
    logged = log_model(client, runs, candidate, network, images, reading)
    version = _version(registry, model, candidate, logged, reading)
    link_version(client, logged, version)
    registry.challenge(version)
    with tempfile.TemporaryDirectory() as folder:
        package = Package(registry.fetch(version, Path(folder)))
        package.check_signature(candidate.data)
        difference = package.check_parity(network, candidate.data, images)
        latency, size_bytes = package.latency(images), package.size_bytes
    run_id = runs.trial(candidate.trial.number)
    return Challenger(version, logged.model_id, run_id, difference, latency, size_bytes)


def _version(
    registry: Registry,
    model: str,
    candidate: TrainedTrial,
    logged: LoggedModel,
    reading: TestReading,
) -> RegisteredVersion:
    """The candidate's version of a registered model: found or made."""
    from mlflow.exceptions import MlflowException

    client = registry.client
    about = f"Classifies images of {candidate.data.name}. Input: {INPUT}."
    try:
        client.create_registered_model(model, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = registry.find(model, candidate.key)
    if found is not None:
        return found
    tags = lineage(candidate, reading) | {
        "logged_model": logged.model_id,
        VALIDATION_STATUS: "pending",
    }
    assert translation.UNIQUE_TAG in tags
    made = client.create_model_version(
        model,
        # Not `models:/ID`, which MLflow looks up in the store that its environment names.
        logged.artifact_location,
        run_id=logged.source_run_id,
        tags=tags,
        description=description(candidate, reading),
        model_id=logged.model_id,
    )
    return RegisteredVersion.of(made)
