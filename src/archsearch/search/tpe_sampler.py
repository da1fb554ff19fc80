"""TPE over an Optuna study: in memory, made from the record, thrown away at the end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FixedTrial, TrialState, create_trial

from archsearch.errors import UsageError
from archsearch.objective import objective_named
from archsearch.record.trial import Refusal, TrialRecord, search_trials
from archsearch.search.seeds import seed_of
from archsearch.spaces.population import Population
from archsearch.spaces.suggest import Suggester

NUM_STARTUP_TRIALS = 10
"""Accepted trials before TPE has enough to model; draws until then are random."""

_VIOLATED = {"feasible": 1.0}


@dataclass(frozen=True)
class Feedback:
    """What the sampler is told of a trial.

    `stopped` trials carry their epochs up to the rung; what diverged or ran out of memory
    violates a constraint, for TPE ranks pruned trials by how far they came.
    """

    state: TrialState
    values: dict[int, float]
    feasible: bool = True


def feedback_of(trial: TrialRecord) -> Feedback:
    """What the sampler is told of a trial in its present condition.

    A shadow stop counts from its rung on, whatever came after: the sampler sees what it would
    have seen without the protected arms.
    """
    reached = {e.epoch: e.value for e in trial.epochs if e.value is not None}
    if trial.shadow_rung_epochs is not None:
        rung = trial.shadow_rung_epochs
        return Feedback(TrialState.PRUNED, {e: v for e, v in reached.items() if e <= rung})
    match trial.outcome:
        case None:
            return Feedback(TrialState.RUNNING, {})
        case "completed":
            return Feedback(TrialState.COMPLETE, reached)
        case "stopped":
            return Feedback(TrialState.PRUNED, reached)
        case "failed":
            return Feedback(TrialState.FAIL, {})
        case "diverged" | "out_of_memory" | "infeasible":
            return Feedback(TrialState.PRUNED, reached, feasible=False)


class TpeSampler:
    """The `Sampler` that asks Optuna's TPE, over a study in memory.

    Each ask uses an Optuna sampler seeded from (search seed, position, draw), and the study holds
    its trials by position with the refused draws between them; so a study made from the record
    proposes what the one that made the record would have proposed.
    """

    def __init__(self, space: Population, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._seed = seed
        self._study = optuna.create_study(direction=objective_named(space.objective).direction)
        self._trials: dict[int, optuna.trial.Trial] = {}
        self._num_accepted = 0

    def restore(self, trials: Sequence[TrialRecord], refusals: Sequence[Refusal]) -> None:
        """See `Sampler.restore`."""
        waiting = list(refusals)
        in_order = sorted(search_trials(trials), key=lambda t: t.number)
        for place, trial in enumerate(in_order):
            while waiting and waiting[0].before_number <= place:
                self._restore_refusal(waiting.pop(0))
            self.accept(trial.number, self._params_today(trial))
            self.tell(trial)
        for refusal in waiting:
            self._restore_refusal(refusal)

    def _restore_refusal(self, refusal: Refusal) -> None:
        if refusal.arm == "sampler" and self._space.fits(refusal.params):
            self._refuse(self._add(refusal.params), refusal.kind)

    def propose(self, position: int, draw: int) -> dict[str, Any]:
        """See `Sampler.propose`."""
        self._study.sampler = self._sampler(position, draw)
        self._open = self._study.ask()
        return self._space.suggest(_suggester(self._open)).params

    def _params_today(self, trial: TrialRecord) -> dict[str, Any] | None:
        """What the space of today calls the trial's parameters; None if it has no such member."""
        try:
            return self._space.params_of(trial.config.architecture, trial.config.recipe)
        except UsageError:
            return None

    def accept(
        self, number: int, params: dict[str, Any] | None, *, proposed: bool = False
    ) -> None:
        """See `Sampler.accept`."""
        self._num_accepted += 1
        if proposed:
            self._trials[number] = self._open
        elif params is not None:
            self._trials[number] = self._add(params)

    def refuse(self, kind: str) -> None:
        """See `Sampler.refuse`."""
        self._refuse(self._open, kind)

    def tell(self, trial: TrialRecord) -> None:
        """See `Sampler.tell`; Optuna is told once, when the outcome or a shadow stop is there."""
        feedback = feedback_of(trial)
        if feedback.state is TrialState.RUNNING or trial.number not in self._trials:
            return
        asked = self._trials.pop(trial.number)
        for epoch, value in feedback.values.items():
            asked.report(value, epoch)
        if not feedback.feasible:
            for key, value in _VIOLATED.items():
                asked.set_constraint(key, value)
        final = trial.value if feedback.state is TrialState.COMPLETE else None
        self._study.tell(asked, final, state=feedback.state)

    def _add(self, params: dict[str, Any]) -> optuna.trial.Trial:
        """A running trial with given parameters, in the distributions of the space of today."""
        fixed = FixedTrial(params)
        self._space.suggest(_suggester(fixed))
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params={k: params[k] for k in fixed.distributions},
                distributions=fixed.distributions,
            )
        )
        newest = self._study.get_trials(deepcopy=False)[-1]
        return optuna.trial.Trial(self._study, newest._trial_id)

    def _refuse(self, asked: optuna.trial.Trial, kind: str) -> None:
        if kind == "duplicate":
            # Its region is neither bad nor good: the trial that it repeats has told that.
            self._study.tell(asked, state=TrialState.FAIL)
            return
        for key, value in _VIOLATED.items():
            asked.set_constraint(key, value)
        self._study.tell(asked, state=TrialState.PRUNED)

    def _sampler(self, position: int, draw: int) -> BaseSampler:
        seed = seed_of(self._seed, "sampler", position, draw)
        if self._num_accepted < NUM_STARTUP_TRIALS:
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            # `group` is marked experimental; without it a family's own parameters are drawn
            # independently of each other.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True
            )


def _suggester(trial: optuna.trial.BaseTrial) -> Suggester:
    """Optuna's overloads of `suggest_categorical` hide that it takes every mix of choices."""
    return cast("Suggester", trial)
