"""The rules of Ray and Optuna, as a replay has them, against their real classes."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import optuna
import pytest
from optuna.pruners import HyperbandPruner
from optuna.trial import TrialState
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from archsearch.halving.decision import Decision
from archsearch.halving.stopping_rule import StoppingRule
from archsearch.simulation.peers import OptunaRule, RayRule

MAX_EPOCHS = 50
NUM_TRIALS = 150
Stops = Callable[[int, int, float], bool]


def epochs_in_parallel(seed: int, stops: Stops) -> Iterator[tuple[int, int, float, bool]]:
    """Epochs of four trials at a time, each until it is stopped; equal values are frequent."""
    generator = random.Random(seed)
    running: dict[int, int] = {}
    following = iter(range(NUM_TRIALS))
    while True:
        while len(running) < 4 and (number := next(following, None)) is not None:
            running[number] = 0
        if not running:
            return
        number = generator.choice(sorted(running))
        running[number] += 1
        value = round(generator.random() + running[number] / MAX_EPOCHS, 2)
        is_stopped = stops(number, running[number], value)
        yield number, running[number], value, is_stopped
        if is_stopped or running[number] == MAX_EPOCHS:
            del running[number]


@dataclass
class _Named:
    trial_id: str


class Asha:
    """Ray's own scheduler with its defaults, asked as Ray Tune asks it."""

    def __init__(self) -> None:
        self._scheduler = AsyncHyperBandScheduler(metric="acc", mode="max", max_t=MAX_EPOCHS)
        self._known: set[int] = set()

    def __call__(self, number: int, epoch: int, value: float) -> bool:
        trial, nobody = cast("Any", _Named(str(number))), cast("Any", None)
        if number not in self._known:
            self._known.add(number)
            self._scheduler.on_trial_add(nobody, trial)
        result = {"training_iteration": epoch, "acc": value}
        answer = self._scheduler.on_trial_result(nobody, trial, result)
        if answer == TrialScheduler.STOP:
            self._scheduler.on_trial_complete(nobody, trial, result)
        return epoch < MAX_EPOCHS and bool(answer == TrialScheduler.STOP)


class Hyperband:
    """Optuna's own pruner with its defaults, asked as an objective asks it."""

    def __init__(self, study_name: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study = optuna.create_study(
                study_name=study_name, direction="maximize", pruner=HyperbandPruner()
            )
        self._trials: dict[int, optuna.trial.Trial] = {}

    def __call__(self, number: int, epoch: int, value: float) -> bool:
        while len(self._trials) <= number:
            asked = self.study.ask()
            self._trials[asked.number] = asked
        trial = self._trials[number]
        trial.report(value, epoch - 1)
        if trial.should_prune():
            self.study.tell(trial, state=TrialState.PRUNED)
            return True
        if epoch == MAX_EPOCHS:
            self.study.tell(trial, value)
        return False


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("rule_of", "real_of"),
    [
        (lambda seed: RayRule(MAX_EPOCHS), lambda seed: Asha()),
        (lambda seed: OptunaRule(MAX_EPOCHS, f"s{seed}"), lambda seed: Hyperband(f"s{seed}")),
    ],
    ids=["ray", "optuna"],
)
def test_the_same_trials_stop_at_the_same_epochs(
    rule_of: Callable[[int], StoppingRule], real_of: Callable[[int], Stops], seed: int
) -> None:
    rule = rule_of(seed)
    num_stopped = 0
    for number, epoch, value, is_stopped in epochs_in_parallel(seed, real_of(seed)):
        stops = rule.report(number, epoch, value).decision is Decision.STOP
        assert stops == is_stopped, (number, epoch)
        num_stopped += stops
    assert NUM_TRIALS / 2 < num_stopped < NUM_TRIALS


def test_optunas_tpe_sees_the_trials_of_all_brackets() -> None:
    """So a replay of it needs one sampler, not one a bracket."""
    hyperband = Hyperband("s0")
    for _ in epochs_in_parallel(0, hyperband):
        pass
    study = hyperband.study
    seen = []

    class Spy(optuna.samplers.TPESampler):
        def infer_relative_search_space(self, study, trial):  # type: ignore[no-untyped-def]
            seen.append((len(study.get_trials()), len(study._get_trials())))
            return super().infer_relative_search_space(study, trial)

    study.sampler = Spy()
    study.ask().suggest_float("x", 0, 1)
    [(in_bracket, read_by_tpe)] = seen
    assert in_bracket < read_by_tpe == len(study.trials)
