"""The runs folder's own store outlives an upgrade of MLflow and a move of its folder."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from archsearch.errors import UnfitError
from archsearch.record.paths import RunsFolder
from archsearch.sqlite_files import sqlite_uri
from archsearch.tracking.client import close_client, open_client
from archsearch.tracking.store import TrackingStore, tracking_store

# MLflow and what it is made of warn of their own future.
pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose last migration has not been made: of the MLflow before this one."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    path = tmp_path_factory.mktemp("earlier") / "mlflow.db"
    private: Any = utils
    config = private._get_alembic_config(sqlite_uri(path))
    scripts = ScriptDirectory.from_config(config)
    before = scripts.get_revision("head").down_revision
    engine = sa.create_engine(sqlite_uri(path), poolclass=sa.NullPool)
    private.InitialBase.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(before))
    return path


def put(path: Path, store: TrackingStore) -> Path:
    assert store.sqlite is not None
    store.sqlite.parent.mkdir(parents=True)
    store.sqlite.write_bytes(path.read_bytes())
    return store.sqlite


def revision(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_the_own_store_of_an_earlier_mlflow_is_copied_and_migrated(
    earlier: Path, tmp_path: Path
) -> None:
    store = tracking_store(RunsFolder(tmp_path / "runs"))
    path = put(earlier, store)
    before = revision(path)
    client = open_client(store)
    client.create_experiment("works")
    close_client(client)
    assert revision(path) != before
    copy = path.with_name(f"mlflow.db.{before}.backup")
    assert revision(copy) == before
    store.prepare()
    assert [p.name for p in path.parent.glob("*.backup")] == [copy.name]


def test_a_store_that_a_uri_names_is_left_to_its_owner_with_the_command(
    earlier: Path, tmp_path: Path
) -> None:
    uri = sqlite_uri(tmp_path / "theirs" / "mlflow.db")
    store = tracking_store(RunsFolder(tmp_path / "runs"), uri)
    path = put(earlier, store)
    before = path.read_bytes()
    with pytest.raises(UnfitError, match=f"mlflow db upgrade {uri}"):
        open_client(store)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_mlflow_is_told_as_that_and_not_touched(
    earlier: Path, tmp_path: Path
) -> None:
    store = tracking_store(RunsFolder(tmp_path / "runs"))
    path = put(earlier, store)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00df00df00d'")
        connection.commit()
    with pytest.raises(UnfitError, match="newer MLflow than the installed one"):
        open_client(store)
    assert revision(path) == "f00df00df00d"


def test_files_of_runs_and_models_follow_a_folder_that_was_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "a?b", tmp_path / "new folder"
    store = tracking_store(RunsFolder(old))
    client = open_client(store)
    experiment = client.create_experiment("x", store.artifact_location("x"))
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, "before", "a.txt")
    other = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="m", source_run_id=run_id)
    client.create_registered_model("m")
    client.create_model_version("m", model.artifact_location, run_id)
    close_client(client)
    old.rename(new)
    for _ in range(2):
        client = open_client(tracking_store(RunsFolder(new)))
        assert [each.path for each in client.list_artifacts(run_id)] == ["a.txt"]
        close_client(client)
    client.log_text(other, "after", "b.txt")
    later = client.create_run(experiment).info.run_id
    client.log_text(later, "after", "c.txt")
    places = [
        client.get_run(run_id).info.artifact_uri,
        client.get_logged_model(model.model_id).artifact_location,
        client.get_model_version_download_uri("m", "1"),
    ]
    close_client(client)
    assert all(str(place).startswith((new / "mlflow/artifacts").as_uri()) for place in places)
    assert {p.name for p in new.rglob("*.txt")} == {"a.txt", "b.txt", "c.txt"}
    assert not old.exists()
