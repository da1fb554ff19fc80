"""Killed anywhere, the same command ends with the same table."""

from __future__ import annotations

import io
import random
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from archsearch.display.summary import print_summary
from archsearch.driver.run import run_search
from archsearch.errors import UsageError
from archsearch.search.assignment import Assignment
from archsearch.search.request import SearchRequest
from tests.search_support import SyntheticRunner, learning_curve, recorded, run_and_die


def moved(request: SearchRequest, folder: Path) -> SearchRequest:
    folder.mkdir()
    (folder / "data").symlink_to((request.runs_dir / "data").resolve())
    return request.model_copy(update={"runs_dir": folder})


def test_one_worker_killed_at_seeded_moments_gives_the_table_of_an_undisturbed_search(
    request_in: SearchRequest, tmp_path: Path
) -> None:
    run_search(request_in, run_trials=SyntheticRunner())
    undisturbed = recorded(request_in.runs_dir)
    generator = random.Random(1)
    for disturbed in (moved(request_in, tmp_path / f"killed{i}") for i in range(3)):
        kills = 0
        while run_and_die(disturbed, SyntheticRunner(die_after=generator.randint(1, 25))):
            kills += 1
        killed = recorded(disturbed.runs_dir)
        assert kills >= 2
        assert killed.table == undisturbed.table
        assert killed.refusals == undisturbed.refusals
        # At most one epoch per running trial is repeated at a kill.
        assert killed.epochs_started <= undisturbed.epochs_started + kills


def test_several_workers_lose_no_finished_epoch_and_train_no_finished_trial_again(
    request_in: SearchRequest,
) -> None:
    generator = random.Random(2)
    finished: dict[int, tuple[object, ...]] = {}
    kills = 0
    while run_and_die(
        request_in, SyntheticRunner(num_slots=3, die_after=generator.randint(10, 40))
    ):
        kills += 1
        now = recorded(request_in.runs_dir)
        table = {row[0]: row for row in now.table}
        assert finished.items() <= table.items()
        finished = {t.number: table[t.number] for t in now.trials if t.is_finished}
    end = recorded(request_in.runs_dir)
    assert kills >= 2
    assert all(t.is_finished for t in end.trials)
    assert [t.number for t in end.trials] == list(range(24))
    for trial in end.trials:
        assert [e.epoch for e in trial.epochs] == list(range(1, len(trial.epochs) + 1))
    assert end.epochs_started <= end.epochs_recorded + 3 * kills


def test_the_same_command_on_a_finished_search_runs_nothing(request_in: SearchRequest) -> None:
    first = run_search(request_in, run_trials=SyntheticRunner())
    runner = SyntheticRunner()
    again = run_search(request_in, run_trials=runner)
    assert runner.events == 0
    assert again.finished
    assert again.trials == first.trials


def test_more_trials_extend_a_finished_search(request_in: SearchRequest) -> None:
    whole = run_search(request_in, run_trials=SyntheticRunner())
    part = request_in.model_copy(update={"trials": 15, "name": "extended"})
    run_search(part, run_trials=SyntheticRunner())
    more = part.model_copy(update={"trials": 24})
    extended = run_search(more, run_trials=SyntheticRunner())
    assert [t.params for t in extended.trials] == [t.params for t in whole.trials]


@pytest.mark.parametrize(
    ("change", "told"),
    [({"seed": 5}, "seed was 0, now 5"), ({"max_epochs": 5}, "max_epochs was 9, now 5")],
)
def test_a_name_is_not_continued_as_another_search(
    request_in: SearchRequest, change: dict[str, int], told: str
) -> None:
    named = request_in.model_copy(update={"name": "mine", "trials": 2})
    run_search(named, run_trials=SyntheticRunner())
    with pytest.raises(UsageError, match=told):
        run_search(named.model_copy(update=change), run_trials=SyntheticRunner())


def test_same_seed_same_search_and_another_seed_another(
    request_in: SearchRequest, tmp_path: Path
) -> None:
    first = run_search(request_in, run_trials=SyntheticRunner())
    same = run_search(moved(request_in, tmp_path / "same"), run_trials=SyntheticRunner())
    other = moved(request_in, tmp_path / "other").model_copy(update={"seed": 1})
    different = run_search(other, run_trials=SyntheticRunner())
    assert [t.params for t in first.trials] == [t.params for t in same.trials]
    assert [t.params for t in first.trials] != [t.params for t in different.trials]


def test_a_search_that_used_its_budget_up_is_told_a_command_with_more(
    request_in: SearchRequest,
) -> None:
    def slow(assignment: Assignment, epoch: int) -> float:
        time.sleep(0.05)
        return learning_curve(assignment, epoch)

    request = request_in.model_copy(update={"time_budget_seconds": 1.0})
    result = run_search(request, run_trials=SyntheticRunner(curve=slow))
    assert not result.finished
    assert "time budget" in result.ending
    told = io.StringIO()
    print_summary(result, request, Console(file=told, width=200))
    budget = re.search(r"resume .*--time-budget (\d+)", told.getvalue())
    assert budget is not None
    more = request.model_copy(update={"time_budget_seconds": float(budget[1]) + 600})
    assert float(budget[1]) > result.seconds
    assert run_search(more, run_trials=SyntheticRunner()).finished


def test_the_summary_names_the_record_where_it_is(
    request_in: SearchRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    for database, named in ((url, url), (None, "search.db")):
        moved_there = moved(request_in, tmp_path / f"runs{database is None}")
        request = moved_there.model_copy(update={"database": database})
        result = run_search(request, run_trials=SyntheticRunner())
        told = io.StringIO()
        print_summary(result, request, Console(file=told, width=400))
        (line,) = re.findall(r"^  record +(.+?) *$", told.getvalue(), flags=re.M)
        assert line.endswith(named)
