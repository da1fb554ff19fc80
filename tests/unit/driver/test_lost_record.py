"""A record that is taken away under a running search ends it, and what was recorded is saved."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import UnfitError
from archsearch.record.database import Database
from archsearch.record.lease import HEARTBEAT_SECONDS
from archsearch.record.opened_file import LostRecordError
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.search.request import SearchRequest
from tests.search_support import SyntheticRunner, learning_curve, recorded

TRIALS = 6

Harm = Callable[[SearchPaths], None]


def remove(paths: SearchPaths) -> None:
    for path in paths.root.glob("search.db*"):
        path.unlink()


def remove_the_folder(paths: SearchPaths) -> None:
    shutil.rmtree(paths.root)


def move(paths: SearchPaths) -> None:
    for path in paths.root.glob("search.db*"):
        path.rename(paths.root.parent / path.name)


def move_the_folder(paths: SearchPaths) -> None:
    paths.root.rename(paths.root.with_name("elsewhere"))


def remove_the_log(paths: SearchPaths) -> None:
    (paths.root / "search.db-wal").unlink()


def replace_by_another(paths: SearchPaths) -> None:
    other = paths.root.with_name("other.db")
    Database.open(other, create=True).close()
    other.replace(paths.database)


def cut(paths: SearchPaths) -> None:
    with contextlib.closing(sqlite3.connect(paths.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with paths.database.open("rb+") as file:
        file.truncate(paths.database.stat().st_size // 2)


def empty(paths: SearchPaths) -> None:
    with paths.database.open("rb+") as file:
        file.truncate(0)


def run(
    request: SearchRequest, harm: Harm, error: type[UnfitError] = LostRecordError
) -> tuple[str, int]:
    """What a driver says at its end, and how many epochs there were, when it is harmed in one."""
    epochs = 0

    def curve(assignment: Any, epoch: int) -> float:
        nonlocal epochs
        epochs += 1
        if epochs == 5:
            runs = RunsFolder(request.runs_dir)
            harm(runs.search("first"))
        if epochs >= 5:
            time.sleep(HEARTBEAT_SECONDS / 5)
        return learning_curve(assignment, epoch)

    with pytest.raises(error) as raised:
        run_search(request, run_trials=SyntheticRunner(curve=curve))
    assert raised.value.exit_code == 3
    return str(raised.value), epochs


@pytest.fixture
def request_(request_in: SearchRequest) -> SearchRequest:
    return request_in.model_copy(update={"name": "first", "trials": TRIALS})


@pytest.mark.parametrize(
    "harm",
    [remove, remove_the_folder, move, move_the_folder, replace_by_another, remove_the_log],
)
def test_it_ends_with_what_to_do_and_goes_on_with_the_copy(
    request_: SearchRequest, harm: Harm
) -> None:
    paths = RunsFolder(request_.runs_dir).search("first")
    told, epochs = run(request_, harm)
    assert epochs < 12
    if harm not in (replace_by_another, remove_the_log):
        assert not paths.database.exists()
    found = re.search(r"saved in (\S+): move that to (\S+) .*, then run", told)
    assert found is not None, told
    assert Path(found[2]) == paths.database
    copy = Path(found[1])
    # A trial that still runs may make its search's folder again after the copy was saved.
    assert copy.parent in (paths.root, request_.runs_dir)
    for path in paths.root.glob("search.db*"):
        if path != copy:
            path.unlink()
    shutil.rmtree(paths.root.with_name("elsewhere"), ignore_errors=True)
    paths.root.mkdir(exist_ok=True)
    copy.rename(paths.database)
    assert recorded(request_.runs_dir).epochs_recorded == 4
    result = run_search(request_, run_trials=SyntheticRunner())
    assert result.exit_code == 0
    assert len(recorded(request_.runs_dir).trials) == TRIALS


@pytest.mark.parametrize("harm", [cut, empty])
def test_a_file_that_is_cut_is_noticed(request_: SearchRequest, harm: Harm) -> None:
    told, epochs = run(request_, harm, UnfitError)
    assert epochs < 12
    assert re.search("was cut from .* to|it is damaged", told)
    assert re.search("saved in|restore a copy .* or start another search by --name", told)


def test_commands_that_read_never_make_a_file(request_: SearchRequest) -> None:
    run_search(request_, run_trials=SyntheticRunner())
    paths = RunsFolder(request_.runs_dir).search("first")
    database = Database.open(paths.database, create=False)
    remove(paths)
    with pytest.raises(LostRecordError, match="was removed or moved away"), database.read():
        pass
    database.close()
    assert not list(paths.root.glob("search.db*"))
