"""A simulated search decides as a real one does; only time and curves are made up."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from archsearch.analysis.audit import audit
from archsearch.driver.run import run_search
from archsearch.errors import UnfitError, UsageError
from archsearch.halving.rungs import Ladder
from archsearch.record.cells import TrialComplexity
from archsearch.record.paths import RunsFolder
from archsearch.record.policy import Policy
from archsearch.record.trial import TrialRecord
from archsearch.search.assignment import Assignment
from archsearch.search.request import SearchRequest
from archsearch.simulation.curves import SimulatedEpoch, positions
from archsearch.simulation.recorded import RecordedWorld, curve_of
from archsearch.simulation.repetitions import simulate_many, summarise
from archsearch.simulation.search import Setting, simulate
from archsearch.simulation.sources import recorded as recorded_source
from archsearch.simulation.sources import synthetic
from archsearch.simulation.synthetic import SCENARIOS, synthetic_world
from archsearch.spaces.load import load_space
from archsearch.spaces.trial_config import TrialConfig
from tests.cli_support import call_here
from tests.search_support import SyntheticRunner, learning_curve, recorded


@dataclass(frozen=True)
class FixedPace:
    """Curves of one shape; an epoch takes as long as the trial's number of layers says."""

    name: str = "fixed"
    description: str = "for tests"
    value: float = 0.5

    def complexity(self, config: TrialConfig) -> TrialComplexity:
        return TrialComplexity(params=1, macs=1, activations=1)

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        seconds = float(getattr(config.architecture, "depth", 10))
        return (SimulatedEpoch(self.value, seconds),) * config.max_epochs


@dataclass(frozen=True)
class AsTheRunnerHasIt(FixedPace):
    """The curves of `tests.search_support.SyntheticRunner`."""

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        fields: dict[str, Any] = {"number": 0, "attempt": 1, "issued_attempts": (1,), "data": None}
        assignment = Assignment.model_construct(**fields, config=config)
        epochs = range(1, config.max_epochs + 1)
        return tuple(SimulatedEpoch(learning_curve(assignment, epoch), 1.0) for epoch in epochs)


def small(scenario: str = "equal", **changes: Any) -> Setting:
    _, setting = synthetic(scenario)
    return replace(setting, **{"trials": 24} | changes)


def test_its_trials_are_those_of_a_real_driver_with_the_same_curves(
    request_in: SearchRequest,
) -> None:
    # Without caps nothing is refused for its cost, which a simulation makes up.
    asked = request_in.model_copy(update={"trials": 18, "max_macs": "none"})
    run_search(asked, run_trials=SyntheticRunner())
    real = [t for t in recorded(request_in.runs_dir).trials if t.arm != "confirm"]
    space = load_space(request_in.space)
    fidelity = space.fidelity
    ladder = Ladder(fidelity.grace_period_epochs or 1, fidelity.max_epochs, 3)
    # The data's own input: a trial's configuration holds it.
    spec = real[0].config.input
    setting = Setting(space, ladder, trials=18, workers=1)
    data = setting.data.model_copy(update=spec.model_dump())
    found = simulate(replace(setting, data=data), AsTheRunnerHasIt())

    def told(trial: TrialRecord) -> tuple[object, ...]:
        curve = [e.value for e in trial.epochs]
        ruled = (trial.outcome, trial.reason, trial.rung_epochs, trial.shadow_rung_epochs)
        return (trial.number, trial.arm, trial.params, trial.config, *ruled, curve)

    assert [told(t) for t in found.trials] == [told(t) for t in real]
    assert found.num_refused == len(recorded(request_in.runs_dir).refusals)


@pytest.mark.parametrize("workers", [1, 3, 100])
def test_the_clock_knows_how_many_work_at_once(workers: int) -> None:
    setting = small(workers=workers)
    found = simulate(setting, FixedPace())
    spent = [sum(e.result.train_seconds for e in t.epochs) for t in found.trials]
    assert found.device_seconds == pytest.approx(sum(spent))
    assert sum(spent) / workers <= found.seconds + 1e-9
    if workers == 1:
        assert found.seconds == pytest.approx(sum(spent))
    if workers == 100:
        assert found.seconds == pytest.approx(max(spent))


def test_the_same_seed_gives_the_same_search_and_another_seed_another_one() -> None:
    world, setting = synthetic("crossing")
    setting = replace(setting, trials=16)

    def table(setting: Setting) -> list[object]:
        return [
            (t.params, t.outcome, [e.value for e in t.epochs])
            for t in simulate(setting, world).trials
        ]

    assert table(setting) == table(setting)
    assert table(setting) != table(replace(setting, seed=1))


def test_a_curve_that_is_no_number_ends_its_trial_as_diverged() -> None:
    found = simulate(small(trials=6), FixedPace(value=math.nan))
    assert [(t.outcome, len(t.epochs)) for t in found.trials] == [("diverged", 1)] * 6
    assert (
        summarise(
            list(simulate_many(small(trials=6), FixedPace(value=math.nan), 1)), FixedPace()
        ).best
        is None
    )


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_is_what_its_description_says(name: str) -> None:
    world = synthetic_world(name)
    for family, truth in world.families.items():
        assert world.superiority(family, family) == pytest.approx(0.5)
        low, high = truth.octaves
        trials = simulate(
            Setting(world.space, Ladder(9, 9, 3), 30, policy=Policy(random_share=1.0)), world
        ).trials
        own = [t for t in trials if t.family == family]
        octaves = [math.log2(t.complexity.macs / 2**20) for t in own]
        assert low - 1e-6 <= min(octaves)
        assert max(octaves) <= high + 1e-6


def test_the_truth_of_a_world_is_what_its_curves_show() -> None:
    # 2,000 pairs at equal cost: a standard error of 1 %.
    world = synthetic_world("fragile")
    setting = Setting(
        world.space, Ladder(9, 9, 3), trials=400, workers=8, policy=Policy(random_share=1.0)
    )
    trials = simulate(setting, replace(world, slope=0.0)).trials
    finals = {
        family: [
            -math.inf if t.outcome == "diverged" else t.value or 0.0
            for t in trials
            if t.family == family
        ]
        for family in world.families
    }
    pairs = [(a, b) for a in finals["wrn"] for b in finals["resnext"]]
    share = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert share == pytest.approx(world.superiority("wrn", "resnext"), abs=0.09)


def test_positions_of_uniform_draws_are_uniform() -> None:
    world, setting = synthetic("equal")
    space = setting.space
    trials = simulate(replace(setting, trials=300, policy=Policy(random_share=1.0)), world).trials
    places: dict[str, list[float]] = {}
    for trial in trials:
        config = trial.config
        for name, place in positions(space, config).items():
            places.setdefault(name, []).append(place)
    for values in places.values():
        assert all(0 < value < 1 for value in values)
        # 300 draws, 150 where a family has the parameter to itself: 4 standard errors.
        assert sum(values) / len(values) == pytest.approx(0.5, abs=4 * 0.29 / len(values) ** 0.5)


def test_recorded_curves_are_given_back_to_the_members_that_have_them(
    request_in: SearchRequest,
) -> None:
    run_search(request_in, run_trials=SyntheticRunner())
    paths = recorded(request_in.runs_dir).paths
    world, setting = recorded_source(RunsFolder(request_in.runs_dir), paths.name)
    assert (setting.trials, setting.seed, setting.policy.random_share) == (24, 0, 0.1)
    assert setting.ladder.rungs == (1, 3)
    for trial in recorded(request_in.runs_dir).trials:
        if trial.outcome == "completed" and trial.arm != "confirm":
            config = trial.config
            assert world.curve(config) == curve_of(trial)
            assert world.complexity(config) == trial.complexity
    found = simulate(setting, world)
    assert len(found.trials) == 24
    assert all(t.is_finished for t in found.trials)


def test_a_record_without_a_whole_curve_of_a_family_is_refused(request_in: SearchRequest) -> None:
    run_search(request_in, run_trials=SyntheticRunner())
    trials = recorded(request_in.runs_dir).trials
    stopped = [t for t in trials if t.family == "wrn" or t.outcome == "stopped"]
    with pytest.raises(UnfitError, match="no trial of resnext that was trained to its end"):
        RecordedWorld("first", load_space(request_in.space), stopped)


def test_a_driver_warns_of_a_family_that_it_stops_unfairly() -> None:
    world, setting = synthetic("crossing")
    found = simulate(replace(setting, policy=Policy(random_share=0.5)), world)
    assert found.warned_of == ("resnext",)
    assert audit(found.trials, setting.ladder.rungs, 3)["resnext"].unfair is not None


def test_the_command_prints_a_table_and_whole_json() -> None:
    shown = call_here("simulate", "--scenario", "ahead", "--trials", 12, "--random-share", 1)
    assert shown.code == 0, shown.err
    assert "In truth resnext beats wrn in 18 % of pairs" in shown.out
    told = call_here(
        "simulate",
        "--scenario",
        "ahead",
        "--trials",
        12,
        "--random-share",
        1,
        "--searches",
        2,
        "--json",
    )
    found = json.loads(told.out)
    assert found["setting"]["trials"] == 12
    assert [one["seed"] for one in found["searches"]] == [0, 1]
    assert found["summary"]["searches"] == 2
    assert found["searches"][0]["verdict"]["sentence"] in shown.out


def test_the_command_simulates_on_a_search_by_name(request_in: SearchRequest) -> None:
    run_search(request_in, run_trials=SyntheticRunner())
    name = recorded(request_in.runs_dir).paths.name
    shown = call_here("simulate", name, "--runs-dir", request_in.runs_dir, "--trials", 8)
    assert shown.code == 0, shown.err
    assert f"curves recorded by {name}" in shown.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "crosing"], "did you mean crossing"),
        (["first", "--scenario", "equal"], "not both"),
        (["--budget", "watts"], "params, macs, seconds"),
        (["nosuch"], "there is no search 'nosuch'"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_one_sentence(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    answer = call_here("simulate", *arguments, "--runs-dir", tmp_path)
    assert answer.code == 2
    assert told in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_scenario_is_refused_by_the_function_too() -> None:
    with pytest.raises(UsageError, match="scenario"):
        synthetic_world("nosuch")
