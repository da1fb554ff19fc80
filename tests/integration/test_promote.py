"""From a trained trial's record to a model that a stranger can load, through a real registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from archsearch.data import DataSpec, PreparedData, load_test, normalise, prepare
from archsearch.errors import (
    NoTrialSucceededError,
    PromotionRefusedError,
    UnfitError,
    UsageError,
)
from archsearch.record import test_split
from archsearch.record.paths import RunsFolder
from archsearch.record.test_split import read_test_split
from archsearch.record.trained import find_candidate
from archsearch.registry.versions import check_names
from archsearch.tracking.client import open_client
from archsearch.tracking.store import TrackingStore
from archsearch.training.checkpoint_file import (
    CheckpointHeader,
    checkpoint_name,
    write_checkpoint,
)
from tests.promotion_support import Trained, promote, trained_search
from tests.tracking_support import call, new_record

pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")


@pytest.fixture(scope="module")
def data(data_cache: Path) -> PreparedData:
    return prepare(DataSpec(name="digits"), cache_dir=data_cache)


@pytest.fixture
def trained(tmp_path: Path, data: PreparedData) -> Iterator[Trained]:
    with trained_search(tmp_path / "runs", data) as search:
        yield search


def test_the_champion_is_the_best_trial_and_predicts_as_it_did(
    trained: Trained, store: TrackingStore, data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = promote(trained, store, "digits-a")
    assert registered.is_promoted
    assert registered.version == "1"
    assert registered.previous is None

    import mlflow
    import mlflow.pyfunc
    from mlflow.models import Model

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", store.uri)
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_registry_uri(store.uri)
    loaded = mlflow.pyfunc.load_model(registered.uri)

    images = load_test(data).images
    for count in (1, 5, len(images)):  # the batch dimension is free
        answers = loaded.predict((images[:count].float() / 255).numpy())
        network = trained.training.averaged_model
        with torch.inference_mode():
            expected = network(normalise(images[:count], data.mean, data.std))
        assert np.abs(answers - expected.numpy()).max() <= 1e-4

    card = Model.load(registered.uri)
    assert card.metadata is not None
    assert card.metadata["class_names"] == list(data.class_names)
    assert card.signature is not None
    assert card.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    example = loaded.input_example
    assert example is not None
    assert len(example) == 2
    requirements = Path(mlflow.artifacts.download_artifacts(registered.uri + "/requirements.txt"))
    assert all("==" in line for line in requirements.read_text().split())


def test_a_version_carries_where_it_comes_from(trained: Trained, store: TrackingStore) -> None:
    promote(trained, store, "digits-b")
    client = open_client(store)
    version = client.get_model_version_by_alias("digits-b", "champion")
    candidate = find_candidate(trained.record.database, trained.record.refreshed(), trained.runs)
    assert candidate.trial.number == 1
    expected = {
        "search": trained.record.search.uuid,
        "trial": "1",
        "data_digest": candidate.data.digest,
        "checkpoint_sha256": candidate.checksum,
        "family": "resnet",
    }
    assert {k: version.tags[k] for k in expected} == expected
    run = client.get_run(str(version.run_id))
    assert run.info.run_name.startswith("trial-0001-")
    assert run.outputs is not None
    logged = client.get_logged_model(version.tags["logged_model"])
    assert [o.model_id for o in run.outputs.model_outputs] == [logged.model_id]
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "digits-b", "version": 1}]
    assert run.data.metrics["test_accuracy"] == pytest.approx(float(version.tags["test_accuracy"]))


def test_the_test_split_is_read_once(
    trained: Trained, data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = trained.record
    candidate = find_candidate(record.database, record.refreshed(), trained.runs)
    first = read_test_split(record.database, candidate, candidate.network())
    split = load_test(data)
    assert len(first.predictions) == len(split)
    right = float((torch.from_numpy(first.predictions) == split.labels).double().mean())
    assert first.accuracy == pytest.approx(right)

    def refuse(prepared: PreparedData) -> None:
        raise AssertionError("the test split was read again")

    monkeypatch.setattr(test_split, "load_test", refuse)
    second = read_test_split(record.database, candidate, candidate.network())
    assert np.array_equal(second.predictions, first.predictions)
    assert second.created_ms == first.created_ms


def test_the_same_model_again_is_refused(trained: Trained, store: TrackingStore) -> None:
    promote(trained, store, "digits-c")
    with pytest.raises(PromotionRefusedError, match="version 1 already"):
        promote(trained, store, "digits-c")


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def test_killed_after_any_step_the_same_call_completes_it_once(
    trained: Trained, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    steps = [
        "create_logged_model",
        "log_model_artifacts",
        "finalize_logged_model",
        "log_outputs",
        "log_metric",
        "create_registered_model",
        "create_model_version",
    ]
    for step in steps:
        whole = getattr(MlflowClient, step)

        def dies_after(*args: Any, whole: Any = whole, **kwargs: Any) -> Any:
            whole(*args, **kwargs)
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, step, dies_after)
            with pytest.raises(KilledError):
                promote(trained, store, "digits-e")
    assert promote(trained, store, "digits-e").version == "1"
    client = open_client(store)
    version = client.get_model_version_by_alias("digits-e", "champion")
    run = client.get_run(str(version.run_id))
    assert run.outputs is not None
    assert len(run.outputs.model_outputs) == 1
    assert len(client.get_metric_history(run.info.run_id, "test_accuracy")) == 1
    assert len(client.get_metric_history(run.info.run_id, "val_accuracy")) == 1
    models = client.search_logged_models([run.info.experiment_id])
    mine = [m for m in models if m.tags["search"] == trained.record.search.uuid]
    assert len(mine) == 1
    assert str(mine[0].status) == "READY"


def test_a_damaged_checkpoint_is_not_promoted(trained: Trained) -> None:
    path = trained.record.paths.trial(1).checkpoints / checkpoint_name(1, 1)
    content = bytearray(path.read())
    content[-1] ^= 1
    path.write(bytes(content))
    with pytest.raises(UnfitError, match="checksum"):
        find_candidate(trained.record.database, trained.record.refreshed(), trained.runs)


def test_a_whole_checkpoint_that_the_record_does_not_know_is_not_promoted(
    trained: Trained, data: PreparedData
) -> None:
    path = trained.record.paths.trial(1).checkpoints / checkpoint_name(1, 1)
    config = trained.training.config
    header = CheckpointHeader(epoch=1, attempt=1, config_digest=config.seeded_digest)
    write_checkpoint(path, header, b"something else")
    with pytest.raises(UnfitError, match="not the file that the record knows"):
        find_candidate(trained.record.database, trained.record.refreshed(), trained.runs)


def test_without_a_completed_trial_there_is_nothing_to_promote(tmp_path: Path) -> None:
    record = new_record(tmp_path)
    record.start()
    record.add_trial(0)
    record.end_trial(0, "diverged")
    with pytest.raises(NoTrialSucceededError, match="1 diverged"):
        find_candidate(record.database, record.refreshed(), RunsFolder(tmp_path))
    record.database.close()


def test_a_trial_that_was_not_trained_to_the_end_is_no_candidate(trained: Trained) -> None:
    record = trained.record
    record.add_trial(2)
    record.add_epochs(2, 1, 1)
    record.end_trial(2, "stopped", 1)
    with pytest.raises(PromotionRefusedError, match=r"not trained to the end \(stopped\)"):
        find_candidate(record.database, record.refreshed(), trained.runs, 2)


@pytest.mark.parametrize(
    ("model", "alias"),
    [("a/b", "champion"), ("", "champion"), ("a", "v1"), ("a", "latest"), ("a", "no space")],
)
def test_names_that_the_registry_refuses_are_refused_first(model: str, alias: str) -> None:
    with pytest.raises(UsageError, match="--model" if alias == "champion" else "--alias"):
        check_names(model, alias)


def test_the_command_promotes_a_search_that_was_moved_and_refuses_it_twice(
    trained: Trained,
    store: TrackingStore,
    tmp_path: Path,
    data: PreparedData,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained.record.finish()
    trained.record.writer.release()
    trained.record.database.close()
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "runs", moved)
    options = [f"--runs-dir={moved}", f"--tracking-uri={store.uri}", "--model=digits-f"]
    assert call("pipeline.promote", "first", *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["uri"] == "models:/digits-f@champion"
    assert report["trial"] == 1
    assert report["num_test"] == data.num_test
    assert call("pipeline.promote", "first", *options) == 5
    assert "already" in capsys.readouterr().err
    assert call("pipeline.promote", "frist", *options) == 2
    assert "did you mean first?" in capsys.readouterr().err
