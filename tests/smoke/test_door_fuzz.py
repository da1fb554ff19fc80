"""Whatever is typed: an answer or one clear message, soon."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archsearch.errors import UsageError
from tests.cli_support import Answer, call_here

FEW = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(FEW, max_examples=2_500)
SECONDS = 20.0

# Those that only look, or whose work is cut off below; `ui` starts servers.
COMMANDS = (
    *("search", "status", "control", "track", "train", "spaces"),
    *("promote", "predict", "export", "report", "simulate", "doctor"),
)


def options_of(command: str) -> list[tuple[str, ...]]:
    """What each place of a command's line may begin with."""
    parsed = typer.main.get_command(import_module(f"pipeline.{command}").app)
    inner = getattr(parsed, "commands", {command: parsed})
    named = [tuple(p.opts) for each in inner.values() for p in each.params if p.opts[0][:1] == "-"]
    return [*named, *((name,) for name in inner)]


NASTY = (
    *("", "-", "--", "+", "+1", "none", "2M", "3x3", "0x0", "30m", "1e400", "NaN", "9" * 400),
    *("smoke", "wrn_vs_resnext", "digits", "pause", "first", "x.py:y", ":", "a:b:c", "a" * 5000),
    *(".", "/", "~", "../x", "/dev/null", "/proc/self/mem", "sqlite://", "http://[", "file:///x"),
    *("WRN-10-1", "models:/a@b", "models:/a/1", "gain=nan", "mcnemar=none", "crossing", "macs"),
    *("http://[::1", "sqlite:///%00", "sqlite:///x?timeout=y", "postgresql+psycopg://h:1,i:2/x"),
    *("postgresql+psycopg://", "ray://:1", "a\nb", "\x1b[2J", "{}", "%s", "$HOME", "\udce9"),
)
VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=12),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.sampled_from(NASTY),
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, ...]:
    """A command with options of its own, of others, and words that are none."""
    command = draw(st.sampled_from(COMMANDS))
    known = st.sampled_from(options_of(command)).flatmap(st.sampled_from)
    words = draw(st.lists(st.one_of(known, st.tuples(known, VALUES), VALUES), max_size=8))
    flat = [word for each in words for word in ([each] if isinstance(each, str) else each)]
    if command == "search" and draw(st.booleans()):
        flat = ["--space", "smoke", *flat]
    return (command, *flat)


class WouldWorkError(UsageError):
    """The line was understood, and work would begin."""


@pytest.fixture
def no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are called in an empty folder, and end where their work would begin."""

    def begin(*_: object, **__: object) -> None:
        raise WouldWorkError("work would begin")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ARCHSEARCH_DATABASE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("archsearch.driver.run.run_search", begin)
    monkeypatch.setattr("archsearch.training.single.prepared_training", begin)
    monkeypatch.setattr("archsearch.training.export.export", begin)
    monkeypatch.setattr("archsearch.simulation.repetitions.simulate_many", begin)
    monkeypatch.setattr("archsearch.registry.versions.open_client", begin)
    monkeypatch.setattr("archsearch.registry.registered_model.open_client", begin)


def answers(line: tuple[str, ...]) -> None:
    began = time.monotonic()
    answer = call_here(*line)
    assert time.monotonic() - began < SECONDS, line
    if line[0] == "doctor" and answer.code == 3 and not answer.err:
        assert "FIX " in answer.out or '"advice": "' in answer.out  # what it found is the answer
        return
    is_answer(answer)
    assert answer.code != 1, answer


def is_answer(answer: Answer) -> None:
    assert answer.code in (0, 1, 2, 3), answer
    assert "Traceback" not in answer.out + answer.err
    assert answer.code == 0 or answer.err.startswith("error: "), answer
    assert len(answer.err) < 20_000


@FEW
@given(line=lines())
def test_no_line_makes_a_command_fail_otherwise(no_work: None, line: tuple[str, ...]) -> None:
    answers(line)


@pytest.mark.slow
@pytest.mark.timeout(900)
@MANY
@given(line=lines())
def test_no_line_of_thousands_makes_a_command_fail_otherwise(
    no_work: None, line: tuple[str, ...]
) -> None:
    answers(line)
