"""Whatever a cell of a record holds: every command answers, or says once that it is damaged."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli_support import call_here
from tests.search_support import NO_TRACKING, SyntheticRunner, finished_search

FEW = settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(FEW, max_examples=80)

SEARCH = (
    "search", "--space", "smoke", "--trials", "3", "--name", "first", "--confirm", "none",
    "--tracking-uri", NO_TRACKING, "--quiet",
)  # fmt: skip
COMMANDS = (
    ("status", "first", "--json"),
    ("status",),
    ("control", "first", "stop"),
    ("report", "first"),
    ("promote", "first", "--tracking-uri", NO_TRACKING),
    SEARCH,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data_cache: Path) -> Path:
    """A runs folder with one finished search, `first`."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    finished_search(runs, data_cache, trials=3, confirm="none")
    return runs


@contextlib.contextmanager
def copy_of(runs: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "runs"
        shutil.copytree(runs, copied, symlinks=True)
        yield copied


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
CELLS: st.SearchStrategy[Any] = st.one_of(
    JSON.map(json.dumps),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=8),
    st.none(),
)


def cells_of(record: Path) -> list[tuple[str, str]]:
    """Every column of every table that has rows."""
    with contextlib.closing(sqlite3.connect(record)) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            if not name.startswith("sqlite_")
            and connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        ]
        return [
            (table, column[1])
            for table in tables
            for column in connection.execute(f"PRAGMA table_info({table})")
        ]


def part_changed(value: Any, data: st.DataObject) -> Any:
    """A JSON text in which one field, however deep, holds something else or is gone."""
    try:
        document = json.loads(value)
    except (TypeError, ValueError):
        return data.draw(CELLS)
    inner, places = document, []
    while isinstance(inner, dict) and inner:
        key = data.draw(st.sampled_from(sorted(inner)))
        places.append((inner, key))
        inner = inner[key]
        if not isinstance(inner, dict) or data.draw(st.booleans()):
            break
    if not places:
        return data.draw(CELLS)
    holder, key = places[-1]
    if data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(JSON)
    return json.dumps(document)


def overwritten(finished: Path, data: st.DataObject) -> None:
    """One cell, or a part of one, holds something else; any command answers."""
    with copy_of(finished) as runs:
        record = runs / "first" / "search.db"
        table, column = data.draw(st.sampled_from(cells_of(record)))
        row = f"rowid = (SELECT min(rowid) FROM {table})"
        with contextlib.closing(sqlite3.connect(record)) as connection:
            (known,) = connection.execute(f"SELECT {column} FROM {table} WHERE {row}").fetchone()
            is_partial = data.draw(st.booleans())
            value = part_changed(known, data) if is_partial else data.draw(CELLS)
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {row}", (value,))
                connection.commit()
            except (sqlite3.IntegrityError, OverflowError):
                return
        is_answered(data.draw(st.sampled_from(COMMANDS)), runs)


def is_answered(command: tuple[str, ...], runs: Path) -> None:
    answer = call_here(*command, "--runs-dir", str(runs))
    told = (command, answer)
    assert answer.code in (0, 1, 2, 3, 4, 5), told
    assert "Traceback" not in answer.out + answer.err, told
    assert answer.code in (0, 4) or "error: " in answer.err, told
    assert len(answer.err) < 20_000, told


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that asks for more trials than it has gets synthetic ones."""
    run = sys.modules["archsearch.driver.run"]
    monkeypatch.setattr(run, "_on_ray", SyntheticRunner())


@FEW
@given(data=st.data())
def test_no_cell_of_a_record_makes_a_command_fail_otherwise(
    finished: Path, no_training: None, data: st.DataObject
) -> None:
    overwritten(finished, data)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@MANY
@given(data=st.data())
def test_no_cell_of_many_makes_a_command_fail_otherwise(
    finished: Path, no_training: None, data: st.DataObject
) -> None:
    overwritten(finished, data)
