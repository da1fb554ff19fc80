"""A team's store on a PostgreSQL server that asks for a password. For real."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.errors import UnfitError
from archsearch.record.deliveries import Deliveries
from archsearch.record.paths import RunsFolder
from archsearch.tracking.sender import deliver
from archsearch.tracking.store import tracking_store
from tests.requirements import skip_or_fail
from tests.tracking_support import (
    Recorded,
    check_store,
    free_port,
    new_record,
    said_of,
    whole_search,
)

pytestmark = [
    pytest.mark.slow,
    # MLflow and what it is made of warn of their own future; errors here would hit its threads.
    pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader"),
]

SECRET = "correct-horse-battery"


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    record = new_record(tmp_path / "runs")
    whole_search(record)
    yield record
    record.database.close()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """URL of an empty database whose user has a password; skipped where there is no server."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        skip_or_fail("PostgreSQL is not installed (Debian package `postgresql`)")
    if importlib.util.find_spec("psycopg") is None:
        skip_or_fail("the Python package psycopg is not installed")
    folder, port = Path(tempfile.mkdtemp(prefix="archsearch-tracking-")), free_port()
    (folder / "password").write_text(SECRET)
    as_user = []
    if os.geteuid() == 0:  # which it refuses
        as_user = ["runuser", "-u", "postgres", "--"]
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")

    def control(program: str, *words: str) -> None:
        command = [*as_user, str(programs[-1].with_name(program)), "-D", str(folder / "data")]
        subprocess.run([*command, *words], check=True, capture_output=True, cwd=folder)

    control("initdb", "-A", "scram-sha-256", "-U", "ann", f"--pwfile={folder / 'password'}")
    listen = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    control("pg_ctl", "-w", "-l", str(folder / "log"), "-o", listen, "start")
    try:
        yield f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:{port}/postgres"
    finally:
        control("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_a_search_is_told_to_postgresql_and_its_password_to_nobody(
    record: Recorded, postgresql: str, capfd: pytest.CaptureFixture[str]
) -> None:
    store = tracking_store(RunsFolder(record.paths.root.parent), postgresql)
    check_store(record, store)
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err + said_of(record) + repr(store)


def test_a_wrong_password_of_postgresql_costs_no_message(
    record: Recorded, postgresql: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = tracking_store(
        RunsFolder(record.paths.root.parent), postgresql.replace("hors", "hous")
    )
    with pytest.raises(UnfitError, match="17 messages wait") as error:
        deliver(record.database, record.search.id, wrong)
    assert Deliveries(record.database, record.search.id, wrong.key).parked() == []
    said = capfd.readouterr()
    assert "battery" not in str(error.value) + said.out + said.err + said_of(record)
