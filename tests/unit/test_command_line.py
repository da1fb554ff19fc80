"""Commands that are told to a person work when pasted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import typer

from archsearch.command_line import command_line, this_python
from archsearch.search.request import SearchRequest
from pipeline._options import parsed_duration
from pipeline.search import app


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
        confirm="2x5",
        name="first",
    )
    words = shlex.split(request.command(trials=40))[3:]
    given = typer.main.get_command(app).make_context("search", words).params
    budget = parsed_duration("--time-budget", given["time_budget"])
    fields = SearchRequest.model_fields.keys() & given.keys() - {"max_params", "max_macs"}
    again = SearchRequest(
        **{field: given[field] for field in fields},
        time_budget_seconds=budget,
        max_macs=int(given["max_macs"]),
    )
    assert again == request.model_copy(update={"trials": 40})
