"""MLflow's model registry: a candidate becomes a version, and the version gets an alias.

Every step looks its unique tag up first, so a promotion that was killed anywhere is completed
by calling it again.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from archsearch.data import load_resident
from archsearch.errors import PromotionRefusedError, UnfitError, UsageError
from archsearch.record.database import Database
from archsearch.record.outbox import Outbox
from archsearch.record.readings import TestReading
from archsearch.record.trial import SearchRow
from archsearch.tracking import wording
from archsearch.tracking.candidate import Candidate
from archsearch.tracking.client import is_missing, open_client, sentence
from archsearch.tracking.lineage import description, lineage
from archsearch.tracking.runs import KnownRuns, UnknownRunError
from archsearch.tracking.sender import BusyError, deliver
from archsearch.tracking.store import TrackingStore
from archsearch.training.standalone import INPUT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from torch import nn


@dataclass(frozen=True)
class Registered:
    """A version in the registry.

    Attributes:
        previous: The version that had the alias before, if any.
        difference: Largest difference between its logits and the trial's.
    """

    model: str
    version: str
    alias: str
    previous: str | None
    difference: float

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.model}@{self.alias}"


def check_names(model: str, alias: str) -> None:
    """Refuse names that the registry would refuse.

    Raises:
        UsageError: One of them is such a name.
    """
    if not re.fullmatch(r"[^/:'\"\s]{1,200}", model):
        raise UsageError(
            f"--model {model!r}: a registered model's name has 1 to 200 characters, without "
            "spaces, quotes, `/` or `:`"
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", alias) or re.fullmatch(r"v\d+|latest", alias):
        raise UsageError(
            f"--alias {alias!r}: an alias has letters, digits, `_` and `-`, and is neither "
            "`latest` nor like `v1`"
        )


@contextlib.contextmanager
def open_registry(
    database: Database, search: SearchRow, store: TrackingStore, lock: Path
) -> Iterator[Registry]:
    """The registry of one store, for one search's models, for the time of the block.

    What tracking has missed is delivered first: a model hangs under its trial's run.

    Args:
        database: The record.
        search: Whose models.
        store: Where the registry is.
        lock: A file that promotions wait for each other on.

    Raises:
        UnfitError: The server fails, in here or in the block.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(lock):
        client = open_client(store)
        from mlflow.exceptions import MlflowException

        runs = KnownRuns(client, store, Outbox(database, search.id))
        try:
            is_known = runs.verify()
            # A driver that delivers now has told of the trial, or soon will.
            with contextlib.suppress(BusyError):
                deliver(database, search.id, store, rebuild=not is_known)
            if not runs.verify():
                raise UnknownRunError("the search's own run is not there")
            yield Registry(client, runs, store)
        except MlflowException as error:
            raise UnfitError(
                f"the model registry at {store.label} fails ({sentence(error)}); call this again: "
                "what was done is not done twice"
            ) from error
        except UnknownRunError as error:
            raise UnfitError(
                f"tracking at {store.label} does not know this search ({error}): deliver it by "
                f"`python -m pipeline.track {search.name} --rebuild`, then promote"
            ) from error


class Registry:
    """Registers models of one search; made by `open_registry`."""

    def __init__(self, client: MlflowClient, runs: KnownRuns, store: TrackingStore) -> None:
        self._client = client
        self._runs = runs
        self._store = store

    def holder(self, model: str, alias: str) -> ModelVersion | None:
        """The version that has an alias now, if any."""
        from mlflow.exceptions import MlflowException

        try:
            version = self._client.get_registered_model(model).aliases.get(alias)
        except MlflowException as error:
            if is_missing(error):
                return None
            raise
        return None if version is None else self._client.get_model_version(model, str(version))

    def refuse_repetition(self, candidate: Candidate, holder: ModelVersion | None) -> None:
        """Refuse what has the alias already, and what was measured on other data.

        Raises:
            PromotionRefusedError: It is so.
        """
        if holder is None:
            return
        name = f"{holder.name} version {holder.version}"
        if holder.tags.get(wording.UNIQUE_TAG) == candidate.key:
            raise PromotionRefusedError(
                f"trial {candidate.trial.number} ({candidate.trial.name}) of "
                f"{candidate.search.name!r} is {name} already, and has the alias; there is "
                "nothing to change"
            )
        digest = holder.tags.get("data_digest")
        if digest is not None and digest != candidate.data.digest:
            raise PromotionRefusedError(
                f"{name} was measured on other data ({holder.tags.get('data')}, digest "
                f"{digest[:12]}) than the candidate ({candidate.data.name}, digest "
                f"{candidate.data.digest[:12]}): they cannot be compared; choose another --model"
            )

    def register(
        self,
        candidate: Candidate,
        network: nn.Module,
        reading: TestReading,
        *,
        model: str,
        alias: str,
    ) -> Registered:
        """Log the model, register it, check what the registry gives back, set the alias.

        Raises:
            PromotionRefusedError: See `refuse_repetition`; or another promotion was faster.
            UnfitError: The registered model does not predict what the trial's does.
            UnknownRunError: The search's runs are not there.
        """
        from archsearch.tracking.logged_model import link_version, log_model
        from archsearch.tracking.package import check_parity

        holder = self.holder(model, alias)
        self.refuse_repetition(candidate, holder)
        images = load_resident(candidate.data).val.images
        logged = log_model(self._client, self._runs, candidate, network, images, reading)
        version = self._version(model, candidate, logged, reading)
        link_version(self._client, logged, version)
        with tempfile.TemporaryDirectory() as folder:
            fetched = self._download(version, folder)
            difference = check_parity(fetched, network, candidate.data, images)
        self._client.set_registered_model_alias(model, alias, version.version)
        now = self._client.get_model_version_by_alias(model, alias)
        if str(now.version) != str(version.version):
            raise PromotionRefusedError(
                f"another promotion of {model} was faster: {alias} is version {now.version} now, "
                f"the candidate is registered as version {version.version}"
            )
        previous = None if holder is None else str(holder.version)
        return Registered(model, str(version.version), alias, previous, difference)

    def _version(
        self, model: str, candidate: Candidate, logged: LoggedModel, reading: TestReading
    ) -> ModelVersion:
        """The candidate's version of a registered model: found or made."""
        from mlflow.exceptions import MlflowException

        about = f"Classifies images of {candidate.data.name}. Input: {INPUT}."
        try:
            self._client.create_registered_model(model, description=about)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in self._client.search_model_versions(f"name='{model}'"):
            if version.tags.get(wording.UNIQUE_TAG) == candidate.key:
                return version
        return self._client.create_model_version(
            model,
            # Not `models:/ID`, which MLflow looks up in the store that its environment names.
            logged.artifact_location,
            run_id=logged.source_run_id,
            tags=lineage(candidate, reading) | {"logged_model": logged.model_id},
            description=description(candidate, reading),
            model_id=logged.model_id,
        )

    def _download(self, version: ModelVersion, folder: str) -> Path:
        """What the registry hands out for a version.

        Asked of this store's client: MLflow looks `models:/` up where its environment points.
        """
        import mlflow.artifacts

        place = self._client.get_model_version_download_uri(version.name, str(version.version))
        return Path(
            mlflow.artifacts.download_artifacts(
                place, dst_path=folder, tracking_uri=self._store.uri
            )
        )
