"""What tracking relies on in MLflow's client: true of MLflow, and of the fake of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.tracking.client import close_client, open_client
from archsearch.tracking.store import tracking_store

# MLflow and what it is made of warn of their own future.
pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    client = open_client(tracking_store(RunsFolder(tmp_path_factory.mktemp("mlflow"))))
    yield client
    close_client(client)


@pytest.fixture(params=["fake", "sqlite"])
def client(request: pytest.FixtureRequest) -> Any:
    if request.param == "sqlite":
        return request.getfixturevalue("real")
    from tests.fake_mlflow import FakeMlflow

    return FakeMlflow()


@pytest.fixture
def experiment(client: Any, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of this test alone: the real store is shared."""
    number: str = client.create_experiment(
        request.node.name, (tmp_path / "artifacts").as_uri(), {"mark": request.node.name}
    )
    return number


def refused(code: str) -> Any:
    from mlflow.exceptions import MlflowException

    return pytest.raises(MlflowException, check=lambda error: error.error_code == code)


def metric(value: float, step: int = 1, time: int = 5) -> Any:
    from mlflow.entities import Metric

    return Metric("val_accuracy", value, time, step)


def test_an_experiment_is_found_by_its_name_and_by_its_tags(
    client: Any, experiment: str, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    assert client.get_experiment_by_name(name).experiment_id == experiment
    assert client.get_experiment_by_name("no such") is None
    found = client.search_experiments(filter_string=f"tags.`mark` = '{name}'")
    assert [each.experiment_id for each in found] == [experiment]
    client.set_experiment_tag(experiment, "mark", "other")
    assert client.get_experiment(experiment).tags["mark"] == "other"


def test_a_name_is_given_once_and_is_not_empty(
    client: Any, experiment: str, request: pytest.FixtureRequest
) -> None:
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_experiment(request.node.name)
    with refused("INVALID_PARAMETER_VALUE"):
        client.create_experiment("")


def test_a_renamed_experiment_keeps_its_tags_and_its_runs(
    client: Any, experiment: str, request: pytest.FixtureRequest
) -> None:
    run = client.create_run(experiment)
    client.rename_experiment(experiment, f"{request.node.name}-renamed")
    assert client.get_experiment_by_name(request.node.name) is None
    found = client.search_experiments(filter_string=f"tags.`mark` = '{request.node.name}'")
    assert [each.experiment_id for each in found] == [experiment]
    assert [r.info.run_id for r in client.search_runs([experiment])] == [run.info.run_id]


def test_a_deleted_experiment_takes_its_runs_along_and_brings_them_back(
    client: Any, experiment: str, request: pytest.FixtureRequest
) -> None:
    run = client.create_run(experiment)
    client.delete_experiment(experiment)
    assert client.get_experiment_by_name(request.node.name).lifecycle_stage == "deleted"
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_experiment(experiment)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def test_a_run_is_found_by_a_tag_and_by_its_status(client: Any, experiment: str) -> None:
    first = client.create_run(experiment, tags={"archsearch.id": "a/search"})
    second = client.create_run(experiment, tags={"archsearch.id": "a/trial-1", "up": "x"})
    client.set_terminated(second.info.run_id, "KILLED", 7)

    def ids(condition: str) -> list[str]:
        return [run.info.run_id for run in client.search_runs([experiment], condition)]

    assert ids("tags.`archsearch.id` = 'a/search'") == [first.info.run_id]
    assert set(ids("tags.`archsearch.id` LIKE 'a/%'")) == {first.info.run_id, second.info.run_id}
    assert ids("attributes.status = 'KILLED' AND tags.`up` = 'x'") == [second.info.run_id]
    assert ids("attributes.status = 'RUNNING'") == [first.info.run_id]
    assert client.get_run(second.info.run_id).info.end_time == 7


def test_runs_come_in_pages_to_the_last(client: Any, experiment: str) -> None:
    made = {client.create_run(experiment).info.run_id for _ in range(5)}
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=2, page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token
        if not token:
            break
    assert len(found) == 5
    assert set(found) == made


def test_a_deleted_run_takes_nothing_is_not_found_and_can_be_restored(
    client: Any, experiment: str
) -> None:
    run_id = client.create_run(experiment).info.run_id
    client.delete_run(run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert list(client.search_runs([experiment])) == []
    with refused("INVALID_PARAMETER_VALUE"):
        client.log_batch(run_id, metrics=[metric(0.5)])
    with refused("INVALID_PARAMETER_VALUE"):
        client.update_run(run_id, status="RUNNING")
    client.restore_run(run_id)
    client.log_batch(run_id, metrics=[metric(0.5)])


def test_a_run_that_never_was_is_said_to_be_missing(client: Any) -> None:
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_run("0" * 32)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.log_batch("0" * 32, metrics=[metric(0.5)])


def test_a_point_that_is_sent_twice_is_there_once(client: Any, experiment: str) -> None:
    run_id = client.create_run(experiment).info.run_id
    for _ in range(2):
        client.log_batch(run_id, metrics=[metric(0.5), metric(0.7, step=2)])
    history = client.get_metric_history(run_id, "val_accuracy")
    assert [(m.step, m.value, m.timestamp) for m in history] == [(1, 0.5, 5), (2, 0.7, 5)]
    assert client.get_run(run_id).data.metrics == {"val_accuracy": 0.7}


def test_parameters_never_change_and_tags_do(client: Any, experiment: str) -> None:
    from mlflow.entities import Param, RunTag

    run_id = client.create_run(experiment, run_name="one").info.run_id
    client.log_batch(run_id, params=[Param("depth", "16")], tags=[RunTag("arm", "random")])
    client.log_batch(run_id, params=[Param("depth", "16")], tags=[RunTag("arm", "sampler")])
    with refused("INVALID_PARAMETER_VALUE"):
        client.log_batch(run_id, params=[Param("depth", "22")])
    client.update_run(run_id, name="two")
    run = client.get_run(run_id)
    assert (run.data.params, run.data.tags["arm"]) == ({"depth": "16"}, "sampler")
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "two"


def test_files_and_data_sets_are_listed_once(client: Any, experiment: str, tmp_path: Path) -> None:
    from mlflow.entities import Dataset, DatasetInput

    page = tmp_path / "report.html"
    page.write_text("x")
    run_id = client.create_run(experiment).info.run_id
    data = DatasetInput(Dataset("digits", "d" * 8, "archsearch", "{}", profile="{}"), tags=[])
    for _ in range(2):
        client.log_text(run_id, "text", "a.txt")
        client.log_artifact(run_id, str(page), "report")
        client.log_inputs(run_id, datasets=[data])
    assert sorted(f.path for f in client.list_artifacts(run_id)) == ["a.txt", "report"]
    inputs = client.get_run(run_id).inputs.dataset_inputs
    assert [each.dataset.name for each in inputs] == ["digits"]
