"""Every trial ends in one named outcome, and the sampler is told what the design says."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from archsearch.driver.run import run_search
from archsearch.errors import UnfitError
from archsearch.halving.arms import DEFAULT_RANDOM_SHARE
from archsearch.objective import ACCURACY
from archsearch.record.cells import TrialComplexity
from archsearch.record.trial import Outcome, TrialRecord
from archsearch.search.assignment import Assignment, EndReport
from archsearch.search.events import Event, Notice, WarningNotice
from archsearch.search.lost_worker import LostWorker, LostWorkerKind
from archsearch.search.request import SearchRequest
from archsearch.search.tpe_sampler import TpeSampler, feedback_of
from archsearch.spaces.load import load_space
from tests.records import config_of, result_of
from tests.search_support import (
    SyntheticRunner,
    learning_curve,
    recorded,
    run_and_die,
)


def ends(outcome: Outcome, *numbers: int, epoch: int = 2) -> SyntheticRunner:
    """A runner in which some trials end by themselves at an epoch."""

    def end(assignment: Assignment, now: int) -> EndReport | None:
        if assignment.number not in numbers or now != epoch:
            return None
        diverged = outcome == "diverged"
        return EndReport(
            number=assignment.number,
            attempt=assignment.attempt,
            outcome=outcome,
            reason="as the test wants it",
            result=result_of(float("nan"), now, diverged=True) if diverged else None,
        )

    return SyntheticRunner(end=end)


@pytest.mark.parametrize("outcome", ["diverged", "out_of_memory", "infeasible", "failed"])
def test_a_trial_that_ends_by_itself_has_that_outcome_and_is_never_best(
    request_in: SearchRequest, outcome: Outcome
) -> None:
    result = run_search(request_in, run_trials=ends(outcome, 1, 3, epoch=1))
    assert [t.outcome for t in result.trials if t.number in (1, 3)] == [outcome] * 2
    assert all(t.reason for t in result.trials)
    assert {t.outcome for t in result.leaderboard} == {"completed"}
    assert result.exit_code == 0


def test_a_diverged_epoch_is_recorded_but_enters_no_rung(request_in: SearchRequest) -> None:
    result = run_search(request_in, run_trials=ends("diverged", 1, epoch=1))
    diverged = result.trials[1]
    assert [e.value for e in diverged.epochs] == [None]
    second = next(t for t in result.trials if t.number == 2 and t.outcome == "stopped")
    assert second.reason is not None
    assert "of 2 after epoch 1" in second.reason  # itself and trial 0


def test_when_every_trial_fails_the_exit_code_is_4(request_in: SearchRequest) -> None:
    few = request_in.model_copy(update={"trials": 4})
    result = run_search(few, run_trials=ends("failed", 0, 1, 2, 3, epoch=1))
    assert result.exit_code == 4
    assert result.finished


def loses_memory(assignment: Assignment, epoch: int) -> LostWorker | None:
    """Beside others, no machine has enough for a second epoch."""
    return LostWorker("memory", "no memory") if assignment.attempt == 1 and epoch == 2 else None


def test_of_several_trials_without_memory_each_goes_on_alone(request_in: SearchRequest) -> None:
    runner = SyntheticRunner(num_slots=4, lose=loses_memory)
    result = run_search(request_in, run_trials=runner)
    assert result.finished
    lost = {trial.number for trial in result.trials if "memory" in trial.attempts.values()}
    assert len(lost) > 2
    again = [(a.number, beside) for a, beside in runner.together if a.attempt > 1]
    assert {number for number, _ in again} == lost
    assert all(beside == {number} for number, beside in again)


def test_a_driver_that_goes_on_remembers_who_must_run_alone(request_in: SearchRequest) -> None:
    first = SyntheticRunner(num_slots=4, lose=loses_memory, die_after=12)
    assert run_and_die(request_in, first)
    before = recorded(request_in.runs_dir).trials
    lost = {t.number for t in before if "memory" in t.attempts.values() and not t.is_finished}
    assert len(lost) > 1
    second = SyntheticRunner(num_slots=4)
    assert run_search(request_in, run_trials=second).finished
    later = [(a.number, beside) for a, beside in second.together if a.number in lost]
    assert {number for number, _ in later} == lost
    assert all(beside == {number} for number, beside in later)


def trial_with(outcome: Outcome | None, *, shadow: int | None = None) -> TrialRecord:
    """A trial of four epochs, the last one at 0.8."""
    from archsearch.record.trial import EpochRecord

    values = (0.5, 0.6, 0.7, 0.8)
    return TrialRecord(
        number=0,
        objective=ACCURACY,
        family="wrn",
        name="WRN-10-1",
        arm="sampler",
        params={},
        config=config_of("WRN-10-1"),
        config_digest="",
        complexity=TrialComplexity(params=1, macs=1, activations=1),
        outcome=outcome,
        reason=None,
        rung_epochs=None,
        shadow_rung_epochs=shadow,
        created_ms=0,
        finished_ms=None,
        epochs=[
            EpochRecord(i + 1, 1, v, result_of(v, i + 1), None, None, 0)
            for i, v in enumerate(values)
        ],
    )


@pytest.mark.parametrize(
    ("outcome", "shadow", "state", "epochs", "feasible"),
    [
        ("completed", None, TrialState.COMPLETE, 4, True),
        ("stopped", None, TrialState.PRUNED, 4, True),
        ("completed", 3, TrialState.PRUNED, 3, True),
        (None, 1, TrialState.PRUNED, 1, True),
        ("diverged", None, TrialState.PRUNED, 4, False),
        ("out_of_memory", None, TrialState.PRUNED, 4, False),
        ("infeasible", None, TrialState.PRUNED, 4, False),
        ("failed", None, TrialState.FAIL, 0, True),
        (None, None, TrialState.RUNNING, 0, True),
    ],
)
def test_what_the_sampler_is_told(
    outcome: Outcome | None, shadow: int | None, state: TrialState, epochs: int, feasible: bool
) -> None:
    answer = feedback_of(trial_with(outcome, shadow=shadow))
    assert (answer.state, len(answer.values), answer.feasible) == (state, epochs, feasible)


def test_optuna_takes_what_it_is_told(request_in: SearchRequest) -> None:
    result = run_search(request_in, run_trials=ends("out_of_memory", 2, 5, epoch=1))
    study = TpeSampler(load_space(request_in.space), request_in.seed)
    refusals = recorded(request_in.runs_dir).refusals
    study.restore(result.trials, refusals)
    inside: optuna.Study = study._study
    states = [trial.state for trial in inside.trials]
    assert TrialState.RUNNING not in states
    assert len(states) == 24 + len(refusals)
    violated = [t for t in inside.trials if any(v > 0 for v in t.constraints.values())]
    assert len(violated) == 2 + sum(r.kind == "infeasible" for r in refusals)
    assert inside.best_value == max(
        t.value or 0 for t in result.leaderboard if t.shadow_rung_epochs is None
    )


def test_protected_trials_run_to_the_end_and_their_shadow_stop_is_kept(
    request_in: SearchRequest,
) -> None:
    wide = request_in.model_copy(update={"trials": 60})
    result = run_search(wide, run_trials=SyntheticRunner(num_slots=2))
    by_arm: dict[str, list[TrialRecord]] = {}
    for trial in result.trials:
        by_arm.setdefault(trial.arm, []).append(trial)
    assert [t.number for t in by_arm["baseline"]] == [0]
    # The share is exact: of n draws n * share are random, give or take less than one.
    assert abs(len(by_arm["random"]) - 59 * DEFAULT_RANDOM_SHARE) < 1
    assert by_arm["control"]
    protected = by_arm["baseline"] + by_arm["random"] + by_arm["control"]
    assert all(t.outcome == "completed" for t in protected)
    assert any(t.shadow_rung_epochs for t in protected)
    assert all(t.shadow_rung_epochs is None for t in by_arm["sampler"])
    families = [t.family for t in by_arm["random"]]
    assert abs(families.count("wrn") - families.count("resnext")) <= 1


def test_a_variant_above_a_cap_takes_no_number_and_is_recorded_apart(
    request_in: SearchRequest,
) -> None:
    capped = request_in.model_copy(update={"max_params": 800_000, "trials": 8})
    result = run_search(capped, run_trials=SyntheticRunner())
    assert [t.number for t in result.trials] == list(range(8))
    assert all(t.complexity.params <= 800_000 for t in result.trials)
    refusals = recorded(request_in.runs_dir).refusals
    assert len(refusals) == result.num_refused > 0
    assert all("params <= 800,000" in r.reason for r in refusals if r.kind == "infeasible")


def test_when_nothing_is_feasible_the_search_ends_and_names_the_cap(
    request_in: SearchRequest,
) -> None:
    with pytest.raises(UnfitError, match="--max-macs"):
        run_search(request_in.model_copy(update={"max_macs": 1000}), run_trials=SyntheticRunner())


def test_a_space_that_has_no_other_member_ends_the_search_early(
    request_in: SearchRequest, tmp_path: object
) -> None:
    small = "families: {wrn: {depth: 10, widen_factor: {choice: [1, 2]}}}\n"
    fidelity = "fidelity: {max_epochs: 3, grace_period_epochs: 1, reduction_factor: 3}\n"
    path = request_in.runs_dir.parent / "small.yaml"
    path.write_text(small + fidelity)
    events: list[Event] = []
    request = request_in.model_copy(update={"space": str(path)})
    result = run_search(request, events.append, run_trials=SyntheticRunner())
    assert len(result.trials) == 2
    assert result.finished
    assert any(isinstance(e, Notice) and "all 2 members" in e.text for e in events)


@pytest.mark.parametrize(
    ("kind", "forgiven"), [("lost", 4), ("preempted", 100), ("memory", 1), ("hung", 1)]
)
def test_losses_are_forgiven_a_bounded_number_of_times(
    kind: LostWorkerKind, forgiven: int
) -> None:
    lost = LostWorker(kind, "the test said so")
    others: list[str | None] = ["paused", "interrupted"] * 50
    assert lost.ending([*others, *[kind] * forgiven]) is None
    assert lost.ending([kind] * (forgiven + 1)) is not None


def test_without_memory_beside_others_and_alone_it_is_out_of_memory() -> None:
    memory = LostWorker("memory", "no memory").ending(["memory", "memory"])
    assert memory is not None
    assert memory.outcome == "out_of_memory"


def test_tracking_that_is_down_costs_one_warning(request_in: SearchRequest) -> None:
    events: list[Event] = []
    few = request_in.model_copy(update={"trials": 3})
    result = run_search(few, events.append, run_trials=SyntheticRunner(curve=learning_curve))
    assert result.finished
    assert result.undelivered > 0
    warnings = [e.text for e in events if isinstance(e, WarningNotice)]
    assert any("pipeline.track" in text for text in warnings)
    assert len(warnings) <= 2
