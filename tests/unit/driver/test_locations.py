"""A search whose trials' files are in a storage is the same search."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import UnfitError, UsageError
from archsearch.search.events import Notice
from archsearch.search.request import SearchRequest
from archsearch.storage import storage_path
from tests.search_support import SyntheticRunner, recorded, run_and_die


@pytest.fixture
def few(request_in: SearchRequest) -> SearchRequest:
    return request_in.model_copy(update={"trials": 6})


def stored(request: SearchRequest, storage: object, runs: Path | None = None) -> SearchRequest:
    changes: dict[str, object] = {"storage": str(storage), "name": "stored"}
    if runs is not None:
        runs.mkdir()
        (runs / "data").symlink_to((request.runs_dir / "data").resolve())
        changes["runs_dir"] = runs
    return SearchRequest.model_validate(request.model_dump() | changes)


def test_killed_at_seeded_moments_it_ends_with_the_table_of_a_search_without_storage(
    few: SearchRequest, tmp_path: Path
) -> None:
    run_search(few, run_trials=SyntheticRunner())
    undisturbed = recorded(few.runs_dir)
    request = stored(few, tmp_path / "shared", tmp_path / "other")
    generator, kills = random.Random(3), 0
    while run_and_die(request, SyntheticRunner(die_after=generator.randint(5, 30))):
        kills += 1
    killed = recorded(request.runs_dir)
    assert kills
    assert killed.table == undisturbed.table
    assert killed.epochs_recorded <= killed.epochs_started <= undisturbed.epochs_started + kills
    assert not (request.runs_dir / "stored" / "trials").exists()
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == ["stored"]


def test_in_an_object_store_it_is_the_same(few: SearchRequest, tmp_path: Path) -> None:
    run_search(few, run_trials=SyntheticRunner())
    request = stored(few, "mock://box/same", tmp_path / "other")
    run_search(request, run_trials=SyntheticRunner())
    found = recorded(request.runs_dir)
    assert found.table == recorded(few.runs_dir).table
    assert str(found.paths.trials) == "mock://box/same/stored/trials"
    kept = [path for path in found.paths.trials.tree() if path.endswith(".ckpt")]
    newest = {f"{t.number:04d}/{t.epochs[-1].checkpoint}" for t in found.trials}
    assert newest <= set(kept)


def test_it_goes_on_where_its_files_are_without_being_told(
    few: SearchRequest, tmp_path: Path
) -> None:
    request = stored(few, tmp_path / "shared")
    assert run_and_die(request, SyntheticRunner(die_after=20))
    untold = request.model_copy(update={"storage": None})
    run_search(untold, run_trials=SyntheticRunner())
    assert not (request.runs_dir / "stored" / "trials").exists()
    assert recorded(request.runs_dir).paths.storage == storage_path(str(tmp_path / "shared"))


@pytest.mark.parametrize("is_finished", [False, True])
def test_another_storage_is_taken_once_the_files_are_there(
    few: SearchRequest, tmp_path: Path, is_finished: bool
) -> None:
    request = stored(few, tmp_path / "shared")
    if is_finished:
        run_search(request, run_trials=SyntheticRunner())
    else:
        assert run_and_die(request, SyntheticRunner(die_after=20))
    elsewhere = stored(request, tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"leave --storage as it was .*or copy them there first"):
        run_search(elsewhere, run_trials=SyntheticRunner())
    shutil.move(tmp_path / "shared", tmp_path / "elsewhere")
    result = run_search(elsewhere, run_trials=SyntheticRunner())
    assert result.finished
    assert recorded(request.runs_dir).paths.storage == storage_path(str(tmp_path / "elsewhere"))
    assert not (tmp_path / "shared").exists()


def test_a_name_that_another_record_has_in_the_storage_is_refused(
    few: SearchRequest, tmp_path: Path
) -> None:
    run_search(stored(few, tmp_path / "shared"), run_trials=SyntheticRunner())
    with pytest.raises(UnfitError, match=r"holds trials, but their record .* choose another"):
        run_search(
            stored(few, tmp_path / "shared", tmp_path / "other"),
            run_trials=SyntheticRunner(),
        )


def test_a_storage_that_cannot_be_written_is_told_before_a_trial_starts(
    few: SearchRequest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    said: list[object] = []
    with pytest.raises(UnfitError, match=r"file"):
        run_search(stored(few, tmp_path / "file"), said.append, run_trials=SyntheticRunner())
    assert all(isinstance(event, Notice) for event in said)
