import os
import warnings
from pathlib import Path

import pytest
import sqlalchemy as sa

from archsearch.errors import UnfitError, UsageError
from archsearch.record.paths import RunsFolder
from archsearch.tracking.client import close_client, open_client
from archsearch.tracking.store import tracking_store


def test_default_store_lies_beside_the_searches(tmp_path: Path) -> None:
    store = tracking_store(RunsFolder(tmp_path / "runs"))
    assert store.uri == f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db"
    assert (
        store.artifact_location("wrn_vs_resnext")
        == (tmp_path / "runs/mlflow/artifacts/wrn_vs_resnext").as_uri()
    )
    assert store.recorded is None


def test_default_store_keeps_its_key_when_the_folder_moves(tmp_path: Path) -> None:
    keys = {tracking_store(RunsFolder(tmp_path / name)).key for name in ("a", "b")}
    assert len(keys) == 1


def test_a_server_chooses_where_artifacts_go() -> None:
    store = tracking_store(RunsFolder(Path("runs")), "http://localhost:5000/")
    assert store.uri == "http://localhost:5000"
    assert store.artifact_location("x") is None


def test_an_experiment_name_cannot_leave_the_artifact_folder(tmp_path: Path) -> None:
    store = tracking_store(RunsFolder(tmp_path))
    location = store.artifact_location("../../my space")
    assert location == (tmp_path / "mlflow/artifacts/my-space").as_uri()


def test_no_secret_of_a_uri_is_shown() -> None:
    store = tracking_store(RunsFolder(Path("runs")), "http://ann:s3cret@host:5000")
    shown = f"{store!r} {store.label} {store.key} {store.recorded}"
    assert "s3cret" in store.uri
    assert "s3cret" not in shown


def test_a_server_is_the_same_whoever_signs_in() -> None:
    runs = RunsFolder(Path("runs"))
    with_user = tracking_store(runs, "http://ann:s3cret@host:5000")
    without = tracking_store(runs, "http://host:5000")
    assert (with_user.key, with_user.recorded) == (without.key, without.recorded)
    assert with_user.recorded == "http://host:5000"
    assert (with_user.has_user, without.has_user) == (True, False)


@pytest.mark.parametrize(
    "uri",
    [
        "mlruns",
        "./mlruns",
        "/tmp/mlruns",
        "file:///tmp/mlruns",
        "http://",
        "http://host:99999",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:relative.db",
        "ftp://ann:s3cret@host/x",
    ],
)
def test_a_uri_that_cannot_hold_runs_is_refused_with_what_can(uri: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///FILE") as caught:
        tracking_store(RunsFolder(Path("runs")), uri)
    assert "s3cret" not in str(caught.value)


def test_a_missing_database_driver_is_named() -> None:
    with pytest.raises(UsageError, match="pip install"):
        tracking_store(RunsFolder(Path("runs")), "mysql+pymysql://ann:s3cret@host/runs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UnfitError, match="--runs-dir"):
        tracking_store(RunsFolder(tmp_path / "runs")).prepare()


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(UnfitError, match="--runs-dir"):
        tracking_store(RunsFolder(tmp_path / "runs")).prepare()


@pytest.mark.parametrize("name", ["a?b", "50%", "%41", "a#b", "a;b&c", "a b", "ü'\"", "x\ny"])
def test_the_file_that_is_opened_is_the_one_that_the_path_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    store = tracking_store(RunsFolder(folder))
    assert sa.make_url(store.uri).database == str(folder / "mlflow/mlflow.db")
    again = tracking_store(RunsFolder(tmp_path), store.uri)
    assert again.sqlite == store.sqlite
    assert tracking_store(RunsFolder(folder), store.uri) == store


def test_a_store_under_an_unusual_name_is_made_there_and_nowhere_else(tmp_path: Path) -> None:
    store = tracking_store(RunsFolder(tmp_path / "a?b%41#c; d"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of its migrations
        client = open_client(store)
    run = client.create_run(client.create_experiment("x", store.artifact_location("x")))
    client.log_text(run.info.run_id, "text", "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a?b%41#c; d"]
    assert [path.name for path in tmp_path.rglob("a.txt")] == ["a.txt"]
    close_client(client)
