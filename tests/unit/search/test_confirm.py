"""Confirm runs: the end of a search, resumable like the rest, and no part of what comes after."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from archsearch.analysis.finalists import confirmed, finalists, parse_confirm, winner, winner_model
from archsearch.display.live_table import LiveTable
from archsearch.display.output import PlainLines
from archsearch.driver.run import run_search
from archsearch.record.trial import (
    TrialRecord,
    confirm_runs,
    incumbent,
    leaderboard,
    search_trials,
)
from archsearch.search.assignment import Assignment, EndReport
from archsearch.search.director import Director
from archsearch.search.events import ConfirmationStarted, Event, TrialStarted
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState
from tests.search_support import SyntheticRunner, recorded, run_and_die


@dataclass
class Reachable(SyntheticRunner):
    """A runner whose director a test can speak to."""

    director: Director | None = field(default=None, init=False)

    def __call__(self, run_state: RunState, request: SearchRequest, gpus: float) -> None:
        self.director = run_state.director
        super().__call__(run_state, request, gpus)


def moved(request: SearchRequest, folder: Path) -> SearchRequest:
    folder.mkdir()
    (folder / "data").symlink_to((request.runs_dir / "data").resolve())
    return request.model_copy(update={"runs_dir": folder})


@pytest.fixture
def confirming(request_in: SearchRequest) -> SearchRequest:
    return request_in.model_copy(update={"trials": 9, "confirm": "2x2"})


def test_finalists_are_trained_again_when_all_trials_have_ended(confirming: SearchRequest) -> None:
    events: list[Event] = []
    result = run_search(confirming, events.append, run_trials=SyntheticRunner(num_slots=2))
    spec = parse_confirm("2x2")
    assert spec is not None
    chosen = finalists(result.trials, spec)
    runs = confirm_runs(result.trials)
    assert result.finished
    assert len(search_trials(result.trials)) == 9
    assert len(runs) == 2 * len(chosen)
    # Every finalist has its first run before any has its second.
    digests = [t.config_digest for t in chosen]
    assert [r.config_digest for r in runs] == digests * 2
    assert len({r.config.seed for r in result.trials}) == len(result.trials)
    assert all(r.outcome == "completed" for r in runs)
    by_digest = {t.config_digest: t for t in chosen}
    for run in runs:
        finalist = by_digest[run.config_digest]
        assert run.config.digest == finalist.config.digest
        assert run.params == finalist.params
    (started,) = (e for e in events if isinstance(e, ConfirmationStarted))
    assert [number for number, _ in started.finalists] == [t.number for t in chosen]
    assert started.num_missing == len(runs)
    first = next(i for i, e in enumerate(events) if isinstance(e, TrialStarted) and e.number == 9)
    ended_before = [e for e in events[:first] if e.kind == "trial_ended"]
    assert len(ended_before) == 9
    assert result.incumbent in search_trials(result.trials)


def test_none_turns_it_off(confirming: SearchRequest) -> None:
    request = confirming.model_copy(update={"confirm": "none"})
    result = run_search(request, run_trials=SyntheticRunner())
    assert result.finished
    assert not confirm_runs(result.trials)
    assert result.winner is None


def test_a_finished_search_is_confirmed_later(confirming: SearchRequest) -> None:
    run_search(confirming.model_copy(update={"confirm": "none"}), run_trials=SyntheticRunner())
    runner = SyntheticRunner()
    result = run_search(confirming, run_trials=runner)
    assert result.finished
    assert confirm_runs(result.trials)
    again = SyntheticRunner()
    assert run_search(confirming, run_trials=again).trials == result.trials
    assert again.events == 0


def test_more_seeds_add_runs_to_those_that_are_there(confirming: SearchRequest) -> None:
    before = run_search(confirming, run_trials=SyntheticRunner())
    more = confirming.model_copy(update={"confirm": "2x3"})
    after = run_search(more, run_trials=SyntheticRunner())
    assert after.trials[: len(before.trials)] == before.trials
    added = after.trials[len(before.trials) :]
    assert len(added) == len(before.confirmed)
    assert all(len(c.runs) == 3 for c in after.confirmed)


def test_extending_proposes_what_asking_at_once_proposes(
    confirming: SearchRequest, tmp_path: Path
) -> None:
    run_search(confirming, run_trials=SyntheticRunner())
    longer = confirming.model_copy(update={"trials": 20})
    extended = run_search(longer, run_trials=SyntheticRunner()).trials
    at_once = moved(longer, tmp_path / "at-once")
    whole = run_search(at_once, run_trials=SyntheticRunner()).trials

    def proposed(trials: list[TrialRecord]) -> list[tuple[object, ...]]:
        return [
            (t.arm, t.params, t.config, t.outcome, t.rung_epochs, t.shadow_rung_epochs)
            for t in search_trials(trials)
        ]

    assert proposed(extended) == proposed(whole)
    assert len(search_trials(whole)) == 20
    refused = recorded(at_once.runs_dir).refusals
    assert recorded(confirming.runs_dir).refusals == refused
    assert any(refusal.before_number > 9 for refusal in refused)
    # Finalists of the end are confirmed in both, with the same seeds; earlier ones stay.
    seeds = {(r.config_digest, r.config.seed) for r in confirm_runs(whole)}
    assert seeds <= {(r.config_digest, r.config.seed) for r in confirm_runs(extended)}


def test_killed_anywhere_the_table_is_the_same(confirming: SearchRequest, tmp_path: Path) -> None:
    whole = run_search(confirming, run_trials=(runner := SyntheticRunner()))
    num_events = runner.events
    of_search = sum(2 * len(t.epochs) for t in search_trials(whole.trials))
    undisturbed = recorded(confirming.runs_dir).table
    # In the search, at its last event, at the first of the confirm runs, within and at the end.
    for nth, moment in enumerate(
        (of_search - 3, of_search, of_search + 1, of_search + 7, num_events - 1, num_events)
    ):
        request = moved(confirming, tmp_path / f"killed-{nth}")
        assert run_and_die(request, SyntheticRunner(die_after=moment))
        result = run_search(request, run_trials=SyntheticRunner())
        assert result.finished
        assert recorded(request.runs_dir).table == undisturbed
        extra = (
            recorded(request.runs_dir).epochs_started - recorded(request.runs_dir).epochs_recorded
        )
        assert extra <= 1


def test_confirm_runs_are_never_stopped_and_move_no_rung(confirming: SearchRequest) -> None:
    def curve(assignment: Assignment, epoch: int) -> float:
        # Confirm runs would be stopped at the first rung, were they compared with anything.
        is_confirm = assignment.number >= 9
        return (0.1 if is_confirm else 0.5) + 0.01 * epoch + 1e-4 * (assignment.number % 9)

    result = run_search(confirming, run_trials=SyntheticRunner(curve))
    runs = confirm_runs(result.trials)
    assert all(r.outcome == "completed" and r.shadow_rung_epochs is None for r in runs)
    assert len(leaderboard(result.trials)) + len(runs) == sum(
        t.outcome == "completed" for t in result.trials
    )
    best = incumbent(result.trials)
    assert best is not None
    assert not best.is_confirm_run
    # What comes after meets rungs without them: a value above theirs, below all trials', stops.
    longer = confirming.model_copy(update={"trials": 14, "confirm": "none"})

    def weak(assignment: Assignment, epoch: int) -> float:
        return 0.3 + 0.01 * epoch

    later = run_search(longer, run_trials=SyntheticRunner(weak)).trials
    sampler = [t for t in search_trials(later)[9:] if t.arm == "sampler"]
    assert sampler
    assert all(t.outcome == "stopped" for t in sampler)


def test_failures_are_counted_and_named(confirming: SearchRequest) -> None:
    def end(assignment: Assignment, epoch: int) -> EndReport | None:
        if assignment.number == 9 and epoch == 3:  # the first confirm run, of the best trial
            return EndReport(
                number=9, attempt=assignment.attempt, outcome="diverged", reason="loss was NaN"
            )
        return None

    result = run_search(confirming, run_trials=SyntheticRunner(end=end))
    assert result.finished
    best = incumbent(result.trials)
    assert best is not None
    (failed,) = (c for c in result.confirmed if c.fails_by_itself)
    assert failed.finalist == best
    assert [r.number for r in failed.unsuccessful] == [9]
    assert len(failed.completed) == 1
    # It was the best, but stands last: what is left of it are its lucky runs.
    assert result.confirmed[-1] is failed
    chosen = winner(result.trials)
    assert chosen is not None
    assert chosen.finalist != best
    model = winner_model(result.trials)
    assert model in chosen.completed


def test_a_drain_keeps_the_rest_for_later(confirming: SearchRequest) -> None:
    runner = Reachable()

    def on_event(event: Event) -> None:
        if isinstance(event, TrialStarted) and event.number == 10:
            assert runner.director is not None
            runner.director.drain("enough for now")

    first = run_search(confirming, on_event, run_trials=runner)
    assert not first.finished
    assert first.winner is None
    assert first.ending == "enough for now"
    second = run_search(confirming, run_trials=SyntheticRunner())
    assert second.finished
    assert all(len(c.completed) == 2 for c in confirmed(second.trials))


def test_stop_starts_no_confirm_run(confirming: SearchRequest) -> None:
    runner = Reachable()

    def on_event(event: Event) -> None:
        if isinstance(event, TrialStarted) and event.number == 8:
            assert runner.director is not None
            runner.director.close("stopped by somebody")

    first = run_search(confirming, on_event, run_trials=runner)
    assert len(first.trials) == 9
    assert not first.finished
    assert run_search(confirming, run_trials=SyntheticRunner()).finished


def test_lines_and_live_table_tell_confirm_runs_from_trials(confirming: SearchRequest) -> None:
    out, console = io.StringIO(), Console(file=io.StringIO(), width=250)
    plain, live = PlainLines(out), LiveTable(console)

    def both(event: Event) -> None:
        plain(event)
        live(event)

    result = run_search(confirming, both, run_trials=SyntheticRunner())
    again = len(confirm_runs(result.trials))
    lines = out.getvalue().splitlines()
    (began,) = (line for line in lines if line.startswith("confirming: "))
    assert "trained again from scratch, 2 times each" in began
    assert sum(line.startswith("confirm run ") and "starts" in line for line in lines) == again
    assert sum(line.startswith("trial ") and "starts" in line for line in lines) == 9
    with console.capture() as capture:
        console.print(live)
    footer = capture.get()
    assert "9 of 9 trials ended" in footer
    assert f"{again} of {again} confirm runs" in footer
