"""Rules of finite spaces: they are tried to their end, whatever kills the driver, and go on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from archsearch.display.summary import print_summary
from archsearch.driver.result import SearchResult
from archsearch.driver.run import run_search
from archsearch.search.events import Event, Notice
from archsearch.search.request import SearchRequest
from archsearch.spaces.load import load_space
from archsearch.spaces.members import members, num_members
from tests.search_support import SyntheticRunner, recorded, run_and_die

SPACE = """
families:
  resnet:
    depth: {{choice: [8, 14]}}
  wrn:
    depth: {{int: [10, 16], step: 6}}
    widen_factor: {{choice: {widths}}}
training:
  learning_rate: {{choice: [0.05, 0.1]}}
  batch_size: {{choice: [32, 64]}}
fidelity:
  max_epochs: 2
  grace_period_epochs: 1
  reduction_factor: 2
"""
NUM_MEMBERS = 24  # 2 * 4 of ResNet, 2 * 2 * 4 of WRN
CAP = 1_000_000  # multiply-accumulates: some members of each family lie below


def space_file(folder: Path, widths: str = "[1, 2]") -> str:
    path = folder / "small.yaml"
    path.write_text(SPACE.format(widths=widths))
    return str(path)


@pytest.fixture
def small(request_in: SearchRequest, tmp_path: Path) -> SearchRequest:
    asked = {"space": space_file(tmp_path), "trials": NUM_MEMBERS, "max_macs": "none"}
    return request_in.model_copy(update={"name": "small", "confirm": "none"} | asked)


def run(request: SearchRequest, **changes: Any) -> tuple[SearchResult, list[str]]:
    """Run it; the result, and what was said."""
    events: list[Event] = []
    asked = request.model_copy(update=changes)
    result = run_search(asked, events.append, run_trials=SyntheticRunner())
    return result, [event.text for event in events if isinstance(event, Notice)]


def go_on_line(result: SearchResult, request: SearchRequest) -> list[str] | None:
    """The options of the command that the summary prints for more of the search."""
    console = Console(width=400)
    with console.capture() as captured:
        print_summary(result, request, console)
    lines = [line.strip() for line in captured.get().splitlines()]
    line = next((line for line in lines if line.startswith("go on")), None)
    return None if line is None else shlex.split(line)[5:]


def test_members_are_each_listed_once_and_belong_to_the_space(small: SearchRequest) -> None:
    space = load_space(small.space)
    listed = list(members(space))
    assert num_members(space) == len(listed) == NUM_MEMBERS
    assert len({tuple(sorted(params.items(), key=str)) for params in listed}) == NUM_MEMBERS
    assert all(space.fits(params) for params in listed)
    assert num_members(load_space("smoke")) is None, "it searches real numbers"


@pytest.mark.parametrize("random_share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("sampler", ["tpe", "uniform"])
def test_every_member_is_tried_once(
    small: SearchRequest, sampler: str, random_share: float
) -> None:
    result, _ = run(small, sampler=sampler, random_share=random_share)
    trials = recorded(small.runs_dir).trials
    assert len(trials) == len({trial.config_digest for trial in trials}) == NUM_MEMBERS
    assert (result.exit_code, result.finished) == (0, True)
    assert result.ending == "finished: all 24 members of the space were tried"


def test_a_search_that_asks_for_more_than_there_is_says_so_and_needs_no_worker_again(
    small: SearchRequest,
) -> None:
    _, said = run(small, trials=40)
    assert "the search ends early: all 24 members of the space were tried" in said

    def no_worker(*_: object) -> None:
        raise AssertionError("workers were started for nothing")

    again = run_search(small.model_copy(update={"trials": 40}), run_trials=no_worker)
    assert (again.finished, again.exit_code) == (True, 0)
    assert go_on_line(again, small) is None, "nothing more can be asked of the whole space"


def test_a_killed_search_of_a_small_space_goes_on_as_if_it_had_not_been(
    small: SearchRequest,
) -> None:
    crashes = 0
    while run_and_die(small, SyntheticRunner(die_after=17)):
        crashes += 1
    assert crashes >= 2
    whole = small.runs_dir / "whole"
    whole.mkdir()
    (whole / "data").symlink_to((small.runs_dir / "data").resolve())
    run(small, runs_dir=whole)
    assert recorded(small.runs_dir).table == recorded(whole).table
    assert recorded(small.runs_dir).refusals == recorded(whole).refusals


def test_a_cap_leaves_members_out_and_lifting_it_tries_them(small: SearchRequest) -> None:
    capped = small.model_copy(update={"max_macs": CAP})
    result, said = run(capped)
    tried = len(recorded(small.runs_dir).trials)
    assert 0 < tried < NUM_MEMBERS
    assert (result.finished, result.exit_code) == (True, 0)
    assert f"{tried} of 24 members of the space were tried" in said[-1]

    again, _ = run(capped)
    assert len(again.search_trials) == tried, "the same cap leaves the same ones out"

    line = go_on_line(again, capped)
    assert line is not None
    assert line[line.index("--max-macs") + 1] == "none", "its own line goes on"
    lifted, _ = run(small, trials=int(line[line.index("--trials") + 1]))
    assert len(lifted.search_trials) == NUM_MEMBERS


def test_more_trials_or_a_wider_space_go_on_after_the_end_of_a_space(
    small: SearchRequest, tmp_path: Path
) -> None:
    run(small, trials=40)
    space_file(tmp_path, "[1, 2, 4]")
    wider, _ = run(small, more_trials=20)
    assert len(wider.search_trials) == 32, "8 members more, and no more than that"
    assert "all 32 members of the space were tried" in wider.ending


def test_refused_members_are_recorded_once(small: SearchRequest) -> None:
    run(small, max_macs=CAP)
    run(small, max_macs=CAP)
    listed = [r.params for r in recorded(small.runs_dir).refusals if r.arm == "listed"]
    assert listed
    assert all(params not in listed[:place] for place, params in enumerate(listed))
