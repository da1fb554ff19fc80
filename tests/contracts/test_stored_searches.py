"""A stored search of every released version still opens, says the same, and goes on.

`tests/data/searches/VERSION` holds the record of a small search that this version made, as SQL
text, with what it said of itself. A release that changes what is stored adds a folder; schemas
between two releases are reached from the oldest one by the chain of migrations.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.driver.run import run_search
from archsearch.record import tables
from archsearch.record.database import Database
from archsearch.search.request import SearchRequest
from tests.cli_support import call_here
from tests.requirements import skip_or_fail
from tests.search_support import NO_TRACKING, SyntheticRunner, recorded
from tests.stored_records import STORED, put_stored

SCHEMAS: list[tuple[Path, str | None]] = [(stored, None) for stored in STORED]
SCHEMAS += [(STORED[0], revision) for revision in tables.REVISIONS[1:]]


@pytest.fixture(params=SCHEMAS, ids=lambda schema: schema[1] or schema[0].name)
def runs(request: pytest.FixtureRequest, tmp_path: Path, data_cache: Path) -> Path:
    """A runs folder with the stored search, `old`, as it was or with the tables of later."""
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    (tmp_path / "runs" / "data").symlink_to(data_cache)
    stored, revision = request.param
    put_stored(stored, folder / "search.db", revision=revision)
    shutil.copy(stored / "space.yaml", folder)
    return tmp_path / "runs"


def asked(runs: Path, **changes: object) -> SearchRequest:
    """The same search, as its user would ask for it again."""
    fields = {
        "space": "smoke", "trials": 4, "confirm": "1x1", "name": "old", "runs_dir": runs,
        "tracking_uri": NO_TRACKING,
    }  # fmt: skip
    return SearchRequest.model_validate(fields | changes)


def test_it_opens_and_says_what_it_said(runs: Path) -> None:
    answer = call_here("status", "old", "--json", "--runs-dir", runs)
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert (told["state"], told["outcomes"]) == ("finished", {"completed": 2, "stopped": 2})
    report = call_here("report", "old", "--runs-dir", runs)
    assert report.code == 0, report.err
    # Its winner's answers on the test split, read once, by the version that made it.
    assert "0.8496 right" in (runs / "old" / "report.md").read_text()


def test_the_same_command_shows_its_result_and_trains_nothing(runs: Path) -> None:
    before = recorded(runs)

    def train(*_: object) -> None:
        raise AssertionError("a finished trial would be trained again")

    result = run_search(asked(runs), run_trials=train)
    assert result.exit_code == 0
    assert recorded(runs).table == before.table


def test_it_can_be_extended(runs: Path) -> None:
    before = recorded(runs)
    result = run_search(asked(runs, trials=7, confirm="none"), run_trials=SyntheticRunner())
    assert result.exit_code == 0
    now = recorded(runs)
    assert now.table[: len(before.table)] == before.table
    assert sum(not trial.is_confirm_run for trial in now.trials) == 7


def test_what_only_a_newer_release_can_have_written_is_not_called_damage(runs: Path) -> None:
    with contextlib.closing(sqlite3.connect(runs / "old" / "search.db")) as connection:
        connection.execute("UPDATE trials SET config = json_set(config, '$.recipe.newer', 1)")
        connection.commit()
    answer = call_here("status", "old", "--runs-dir", runs)
    assert answer.code == 3
    assert "does not know config.recipe.newer of trial 0" in answer.err
    assert "damaged" not in answer.err


def test_a_folder_that_cannot_be_written_can_be_read(runs: Path, tmp_path: Path) -> None:
    """Such as an archive; a driver that was killed there has left a log without its index."""
    database = Database.open(runs / "old" / "search.db", create=True)
    shutil.copytree(runs, tmp_path / "killed")
    database.close()
    (tmp_path / "killed" / "old" / "search.db-shm").unlink()
    for folder in (runs, tmp_path / "killed"):
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("search.db*")}
        status = [sys.executable, "-m", "pipeline.status", "old", "--runs-dir", str(folder)]
        done = subprocess.run(without_writing(folder, status), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("old: finished; 4 trials")
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("search.db*")} == before


def without_writing(folder: Path, command: list[str]) -> list[str]:
    """The command where nobody can write the folder: root can, unless it is mounted so."""
    if os.geteuid():
        for path in (folder / "old", folder):
            path.chmod(0o555)
        return command
    mount = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    probe = ["unshare", "-m", "sh", "-c", mount]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        skip_or_fail("root cannot mount a folder read-only here")
    return ["unshare", "-m", "sh", "-c", f"{mount} && exec {shlex.join(command)}"]
