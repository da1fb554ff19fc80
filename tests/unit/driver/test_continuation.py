"""The same name again: as it was, longer, or in a wider space."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import UsageError
from archsearch.record.database import Database
from archsearch.record.reader import get_search
from archsearch.record.trial import SearchRow
from archsearch.report.opened_search import open_search
from archsearch.search.events import Event, Notice
from archsearch.search.parsing import parsed_trials
from archsearch.search.request import MAX_TRIALS, SearchRequest
from archsearch.spaces.load import load_space
from tests.search_support import SyntheticRunner, recorded, run_and_die


def run(request: SearchRequest, **changes: Any) -> list[str]:
    """Run it; what was said."""
    events: list[Event] = []
    run_search(request.model_copy(update=changes), events.append, run_trials=SyntheticRunner())
    return [event.text for event in events if isinstance(event, Notice)]


def count(request: SearchRequest) -> int:
    return len(recorded(request.runs_dir).trials)


def row(request: SearchRequest) -> SearchRow:
    paths = recorded(request.runs_dir).paths
    database = Database.open(paths.database, create=False)
    try:
        return get_search(database, paths.name)
    finally:
        database.close()


@pytest.fixture
def named(request_in: SearchRequest) -> SearchRequest:
    return request_in.model_copy(update={"name": "mine", "trials": 4, "confirm": "none"})


def test_more_trials_are_counted_from_what_a_finished_search_has(named: SearchRequest) -> None:
    run(named, **parsed_trials("+3"))
    assert count(named) == 3
    run(named, **parsed_trials("+3"))
    assert count(named) == 6
    run(named, **parsed_trials("4"))  # it has them
    assert count(named) == 6
    run(named, **parsed_trials("+2"))
    assert count(named) == 8
    run(named, **parsed_trials("9"))
    assert count(named) == 9


def test_the_same_more_again_after_crashes_adds_once(named: SearchRequest) -> None:
    run(named)
    more = named.model_copy(update=parsed_trials("+4"))
    crashes = 0
    while run_and_die(more, SyntheticRunner(die_after=4)):
        crashes += 1
        assert row(named).settings.trials == 8
    assert crashes >= 2
    assert count(named) == 8
    whole = named.runs_dir / "whole"
    whole.mkdir()
    (whole / "data").symlink_to((named.runs_dir / "data").resolve())
    at_once = named.model_copy(update={"runs_dir": whole, "trials": 8})
    run(at_once)
    assert recorded(named.runs_dir).table == recorded(whole).table


def test_more_of_an_unfinished_search_is_more_than_it_was_asked_for(named: SearchRequest) -> None:
    assert run_and_die(named, SyntheticRunner(die_after=9))
    run(named, **parsed_trials("+2"))
    assert count(named) == 6


def test_another_more_while_one_is_unfinished_is_added_to_it(named: SearchRequest) -> None:
    more = named.model_copy(update=parsed_trials("+4"))
    assert run_and_die(more, SyntheticRunner(die_after=9))
    run(named, **parsed_trials("+3"))
    assert count(named) == 7


def test_more_than_can_be_is_refused(named: SearchRequest) -> None:
    run(named)
    with pytest.raises(UsageError, match=r"was asked for 4 before, and 1,000,000 are the most"):
        run(named, **parsed_trials(f"+{MAX_TRIALS}"))


@pytest.mark.parametrize("text", ["+", "++3", "+0", "+-3", "-3", "0", "", "none", "+none", "x"])
def test_what_is_no_number_of_trials_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--trials"):
        parsed_trials(text)


def test_a_command_that_is_told_asks_for_the_same() -> None:
    request = SearchRequest(space="smoke", trials=50, more_trials=50, retry_memory=True)
    assert "--trials +50" in request.command()
    assert request.command().endswith("--retry-memory")
    assert "--trials 70" in request.command(trials=70, more_trials=None)


def widen(request: SearchRequest, old: str, new: str) -> None:
    path = Path(request.space)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DENSENET = "  densenet: {depth: 22, growth_rate: {choice: [4, 6]}}\ntraining:"


def test_a_family_and_a_range_are_added_to_a_search_and_old_trials_stay(
    named: SearchRequest,
) -> None:
    run(named, trials=12)
    before = recorded(named.runs_dir)
    first = row(named)
    widen(named, "training:", DENSENET)
    widen(named, "widen_factor: {choice: [1, 2, 4]}", "widen_factor: {choice: [1, 2, 3, 4]}")
    sentence = (
        "The space is wider than before: wrn/widen_factor was {choice: [1, 2, 4]}, now "
        "{choice: [1, 2, 3, 4]}; family densenet."
    )
    said = run(named, trials=12)
    assert f"{sentence} Ask for more by --trials +20." in said
    assert recorded(named.runs_dir).table == before.table
    assert row(named).identity == first.identity
    said = run(named, **parsed_trials("+40"))
    assert sentence in said
    now = recorded(named.runs_dir)
    assert now.table[:12] == before.table
    assert len(now.trials) == 52
    later = now.trials[12:]
    assert {t.family for t in later} == {"wrn", "resnext", "densenet"}
    assert any(t.params.get("wrn/widen_factor") == 3 for t in later)
    last = row(named)
    assert last.identity.as_json()["earlier_spaces"] == [
        {"space": first.identity.space, "num_trials": 12, "redrawn": ["wrn"]}
    ]
    opened = open_search("mine", named.runs_dir)
    counted = {f: share.left_out for f, share in opened.verdict().families.items()}
    drawn_before = sum(t.arm == "random" and t.family == "wrn" for t in now.trials[:12])
    assert drawn_before > 0
    assert counted["wrn"].get("narrower space", 0) == drawn_before
    assert "narrower space" not in counted["resnext"]  # its draws are what they were
    assert last.identity.space == load_space(named.space).digest
    assert last.space["families"].keys() == {"wrn", "resnext", "densenet"}
    assert load_space(str(now.paths.space)).digest == last.identity.space
    # From here on it is the search's own space: no word of it, and the old one is refused.
    assert not any("wider" in text for text in run(named, **parsed_trials("+1")))
    widen(named, DENSENET, "training:")
    with pytest.raises(UsageError, match=r"is another one: space was .*family densenet is gone"):
        run(named, trials=60)


def test_a_widened_search_that_is_killed_goes_on_as_if_it_were_not(named: SearchRequest) -> None:
    tables = []
    for kill_after in (None, 11):
        folder = named.runs_dir / str(kill_after)
        folder.mkdir()
        (folder / "data").symlink_to((named.runs_dir / "data").resolve())
        request = named.model_copy(update={"runs_dir": folder})
        text = Path(named.space).read_text()
        run(request, trials=11)
        widen(request, "training:", DENSENET)
        request = request.model_copy(update=parsed_trials("+9"))
        while run_and_die(request, SyntheticRunner(die_after=kill_after)):
            pass
        tables.append((recorded(folder).table, recorded(folder).refusals))
        Path(named.space).write_text(text)
    assert tables[0] == tables[1]


def test_an_exhausted_search_goes_on_in_a_wider_space(request_in: SearchRequest) -> None:
    Path(request_in.space).write_text(
        "families:\n  wrn: {depth: 10, widen_factor: {choice: [1, 2]}}\n"
        "fidelity: {max_epochs: 3, grace_period_epochs: 1}\n"
    )
    small = request_in.model_copy(update={"name": "mine", "trials": 4, "confirm": "none"})
    run(small)
    assert count(small) == 2
    run(small)
    assert count(small) == 2
    widen(small, "[1, 2]", "[1, 2, 3, 4]")
    run(small)
    assert count(small) > 2


def test_rungs_stay_where_they_were_though_larger_batches_would_move_them(
    request_in: SearchRequest,
) -> None:
    space = Path(request_in.space)
    text = space.read_text().replace(", grace_period_epochs: 1", "")
    space.write_text(text.replace("training:", "training:\n  batch_size: {choice: [8, 16]}"))
    request = request_in.model_copy(update={"name": "mine", "trials": 4, "confirm": "none"})
    run(request)
    rungs = row(request).settings.rungs
    widen(request, "[8, 16]", "[8, 16, 256]")
    run(request, **parsed_trials("+6"))
    assert row(request).settings.rungs == rungs
    other = request.model_copy(update={"name": "fresh", "runs_dir": request.runs_dir / "fresh"})
    other.runs_dir.mkdir()
    (other.runs_dir / "data").symlink_to((request.runs_dir / "data").resolve())
    run(other)
    assert row(other).settings.rungs != rungs


def test_a_renamed_space_file_is_the_same_search_to_tracking(named: SearchRequest) -> None:
    run(named)
    renamed = Path(named.space).with_name("renamed.yaml")
    Path(named.space).rename(renamed)
    run(named, space=str(renamed), trials=5)
    (record,) = named.runs_dir.glob("mine/search.db")
    with sqlite3.connect(record) as connection:
        told = connection.execute(
            "SELECT json_extract(payload, '$.space_name') FROM outbox "
            "WHERE kind = 'search_started'"
        ).fetchall()
    connection.close()
    assert told == [("space",), ("space",)]


def test_another_seed_or_objective_is_refused_however_wide_the_space(
    named: SearchRequest,
) -> None:
    run(named)
    widen(named, "training:", DENSENET)
    with pytest.raises(UsageError, match="is another one: seed was 0, now 1"):
        run(named, seed=1)
    widen(named, "max_epochs: 9", "max_epochs: 27")
    with pytest.raises(UsageError, match=r"fidelity was .* may become wider"):
        run(named)
