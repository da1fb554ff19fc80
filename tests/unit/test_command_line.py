"""Commands that are told to a person work when pasted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import typer

from archsearch.command_line import command_line, this_python
from archsearch.engine.session import SlotCounter
from archsearch.errors import UsageError
from archsearch.search.parsing import parsed_concurrency
from archsearch.search.request import SearchRequest
from archsearch.search.slots import TrialShape
from pipeline._options import parsed_duration
from pipeline.search import app
from tests.cli_support import call_here


def interpreter(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return path


def test_python_is_called_by_its_name_only_where_a_shell_finds_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = interpreter(tmp_path / "clone" / ".venv" / "bin" / "python")
    other = interpreter(tmp_path / "usr" / "bin" / "python")
    monkeypatch.setattr(sys, "executable", str(ours))
    monkeypatch.setenv("PATH", str(ours.parent))
    assert this_python() == "python"
    monkeypatch.setenv("PATH", str(other.parent))
    monkeypatch.chdir(tmp_path / "clone")
    assert this_python() == ".venv/bin/python"  # as `make` leaves it
    monkeypatch.chdir(tmp_path / "usr")
    assert this_python() == str(ours)


def test_words_are_quoted_for_a_shell() -> None:
    line = command_line("status", "first", "--runs-dir", Path("my runs/$HOME"))
    words = ["-m", "pipeline.status", "first", "--runs-dir", "my runs/$HOME"]
    assert shlex.split(line)[1:] == words


def test_the_command_of_a_request_asks_for_the_same_request() -> None:
    request = SearchRequest(
        space="my spaces/one.yaml",
        runs_dir=Path("my runs"),
        seed=2**32 - 1,
        time_budget_seconds=20 * 86400.0,
        max_macs=123_456_789,
        random_share=0.05,
        gpus_per_trial=0.5,
        concurrency=3,
        confirm="2x5",
        name="first",
    )
    words = shlex.split(request.command(trials=40))[3:]
    given = typer.main.get_command(app).make_context("search", words).params
    budget = parsed_duration("--time-budget", given["time_budget"])
    typed = {"max_params", "max_macs", "concurrency"}
    fields = SearchRequest.model_fields.keys() & given.keys() - typed
    again = SearchRequest(
        **{field: given[field] for field in fields},
        time_budget_seconds=budget,
        max_macs=int(given["max_macs"]),
        concurrency=parsed_concurrency(given["concurrency"]),
    )
    assert again == request.model_copy(update={"trials": 40})


def request_of(monkeypatch: pytest.MonkeyPatch, *options: str) -> SearchRequest:
    """The request that `pipeline.search` makes of its options; no search is begun."""
    asked: list[SearchRequest] = []

    def begin(request: SearchRequest, *_: object, **__: object) -> None:
        asked.append(request)
        raise UsageError("that is all")

    monkeypatch.setattr("archsearch.driver.run.run_search", begin)
    assert call_here("search", "--space", "smoke", *options).err == "error: that is all\n"
    return asked[0]


def test_as_many_trials_at_a_time_as_there_is_room_for_is_said_by_auto_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_auto = request_of(monkeypatch, "--concurrency", "auto")
    assert by_auto == request_of(monkeypatch)
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr(SlotCounter, "_REFRESH_SECONDS", 0.0)
    slots = SlotCounter(by_auto, TrialShape())
    assert slots() == 2
    nodes.append({"Alive": True, "Resources": {"CPU": 3.0}})
    assert slots() == 5
    nodes[0]["Alive"] = False
    assert slots() == 3
    for number, expected in (("2", 2), ("4", 3)):
        slots = SlotCounter(request_of(monkeypatch, "--concurrency", number), TrialShape())
        assert slots() == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "none", "Auto", "all"])
def test_what_is_no_number_of_trials_at_a_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--concurrency .* such as 4, or auto"):
        parsed_concurrency(text)
