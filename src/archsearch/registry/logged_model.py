"""A candidate as MLflow's logged model, under the run of its trial."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from archsearch.record.readings import TestReading
from archsearch.record.trained import TrainedTrial
from archsearch.registry.lineage import lineage, metadata
from archsearch.registry.package import save_package
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.tracking import translation as translation
from archsearch.tracking.runs import KnownRuns

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

_VERSIONS_TAG = "mlflow.modelVersions"


def log_model(
    client: MlflowClient,
    runs: KnownRuns,
    candidate: TrainedTrial,
    network: nn.Module,
    images: torch.Tensor,
    reading: TestReading,
) -> LoggedModel:
    """The candidate's logged model: found, completed where a kill left it, or made.

    Args:
        client: Of the store.
        runs: Of the candidate's search there.
        candidate: What is logged.
        network: The candidate's, on the processor.
        images: (N, C, H, W) of uint8, for the input example.
        reading: Its answers on the test split.

    Raises:
        UnknownRunError: The run of its trial is not there.
    """
    experiment, run_id = runs.search().info.experiment_id, runs.trial(candidate.trial.number)
    model = _find(client, experiment, candidate.key)
    if model is None:
        model = client.create_logged_model(
            experiment,
            name=re.sub(r"[^A-Za-z0-9_-]+", "-", candidate.trial.name),
            source_run_id=run_id,
            tags=lineage(candidate, reading),
            model_type="classifier",
        )
    if str(model.status) != "READY" or not _has_files(client, model):
        model = _upload(client, model, candidate, network, images)
    _link(client, model, run_id, candidate, reading)
    return model


def link_version(client: MlflowClient, model: LoggedModel, version: RegisteredVersion) -> None:
    """Show on the logged model's page which version it is registered as.

    A tracking server does this by itself, a store without one leaves it to its caller.
    """
    known = json.loads(client.get_logged_model(model.model_id).tags.get(_VERSIONS_TAG, "[]"))
    mine = {"name": version.name, "version": int(version.version)}
    if not any(str(v["version"]) == version.version for v in known if v["name"] == version.name):
        client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: json.dumps([*known, mine])})


def _find(client: MlflowClient, experiment: str, key: str) -> LoggedModel | None:
    found = client.search_logged_models(
        [experiment], f"tags.`{translation.UNIQUE_TAG}` = '{key}'", max_results=1
    )
    return found[0] if found else None


def _has_files(client: MlflowClient, model: LoggedModel) -> bool:
    """Whether the files of a model are there: somebody may have removed them from the store."""
    listed = client.list_logged_model_artifacts(model.model_id)
    return any(Path(each.path).name == "MLmodel" for each in listed)


def _upload(
    client: MlflowClient,
    model: LoggedModel,
    candidate: TrainedTrial,
    network: nn.Module,
    images: torch.Tensor,
) -> LoggedModel:
    from mlflow.models import Model

    card = Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
        metadata=metadata(candidate),
    )
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        save_package(saved, network, candidate.data, images, card)
        client.log_model_artifacts(model.model_id, str(saved))
    return client.finalize_logged_model(model.model_id, "READY")


def _link(
    client: MlflowClient,
    model: LoggedModel,
    run_id: str,
    candidate: TrainedTrial,
    reading: TestReading,
) -> None:
    """Show the model on its run's page, with its score; a second time changes nothing."""
    from mlflow.entities import LoggedModelOutput

    step = candidate.checkpoint.header.epoch
    outputs = client.get_run(run_id).outputs
    if model.model_id not in [o.model_id for o in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    client.log_metric(
        run_id,
        "test_accuracy",
        reading.accuracy,
        reading.created_ms,
        step,
        model_id=model.model_id,
    )
