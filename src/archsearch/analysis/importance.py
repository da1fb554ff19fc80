"""Which parameters made trials good: PED-ANOVA, with the level that chance alone reaches.

Watanabe, Bansal and Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
Arbitrary Subspaces": how far the distribution of a parameter among the best trials (here the best
tenth) departs from its distribution among all of them. The space is conditional, so a family's own
parameters are rated among that family's trials, and the training fields, which every trial has,
among those of all families too.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.trial import TrialRecord
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import Suggester

if TYPE_CHECKING:
    import optuna

MIN_TRIALS = 20
"""Completed trials below which the best tenth is too few to compare anything with."""

MAX_TRIALS = 300
"""Trials of a scope that are rated at most, drawn at random: more cost seconds."""

_SHUFFLES = 20
_TARGET_QUANTILE = 0.1


@dataclass(frozen=True)
class ParameterImportance:
    """How much one parameter mattered.

    Attributes:
        name: Full name, `wrn/depth`.
        importance: Pearson divergence of its distribution among the best tenth from that among
            all; 0 where they are alike.
        chance: What it reached in all but one of 20 shuffles of the accuracies: below that,
            nothing was shown.
    """

    name: str
    importance: float
    chance: float

    @property
    def is_above_chance(self) -> bool:
        """Whether it is more than shuffled accuracies gave."""
        return self.importance > self.chance


@dataclass(frozen=True)
class Importances:
    """The parameters of one scope, most important first.

    Attributes:
        scope: A family, or `all families`.
        num_trials: Completed trials that were rated.
        parameters: Empty if there were fewer than `MIN_TRIALS`, or all were equally good.
    """

    scope: str
    num_trials: int
    parameters: tuple[ParameterImportance, ...]


ALL_FAMILIES = "all families"


def importances(recorded: RecordedSearch, seed: int = 0) -> list[Importances]:
    """The shared training fields over all families, then each family's parameters.

    Args:
        recorded: The search.
        seed: Of the shuffles and of the drawing from more than `MAX_TRIALS` trials.
    """
    space = recorded.space
    if space is None:
        return []
    completed = [
        trial
        for trial in recorded.searched
        if trial.outcome == "completed" and trial.score is not None and space.fits(trial.params)
    ]
    scopes = {family: [t for t in completed if t.family == family] for family in space.families}
    found = []
    if len(scopes) > 1:
        shared = {f"training/{field}" for field in space.training} | {"family"}
        found.append(_rated(ALL_FAMILIES, completed, space, shared, seed))
    for family, trials in scopes.items():
        own = set(space.parameters(family)) - {"family"}
        found.append(_rated(family, trials, space, own, seed))
    return found


def _rated(
    scope: str,
    trials: Sequence[TrialRecord],
    space: SearchSpace,
    names: set[str],
    seed: int,
) -> Importances:
    generator = random.Random(f"{seed}/{scope}")
    rated = list(trials)
    if len(rated) > MAX_TRIALS:
        rated = sorted(generator.sample(rated, MAX_TRIALS), key=lambda t: t.number)
    values = [float(trial.score or 0.0) for trial in rated]
    if len(rated) < MIN_TRIALS or min(values) == max(values):
        return Importances(scope, len(rated), ())
    with _quiet_optuna():
        study = _study([_member(trial.params, space, names) for trial in rated])
        observed = _divergences(study, values)
        chance: dict[str, list[float]] = {name: [] for name in observed}
        for _ in range(_SHUFFLES):
            generator.shuffle(values)
            for name, value in _divergences(study, values).items():
                chance[name].append(value)
    return Importances(
        scope,
        len(rated),
        tuple(
            ParameterImportance(name, value, sorted(chance[name])[-2])
            for name, value in sorted(observed.items(), key=lambda item: (-item[1], item[0]))
        ),
    )


_Member = tuple[dict[str, Any], "dict[str, optuna.distributions.BaseDistribution]"]


def _member(params: Mapping[str, Any], space: SearchSpace, names: set[str]) -> _Member:
    """A trial's parameters of a scope with the distributions that the space draws them from."""
    from optuna.trial import FixedTrial

    fixed = FixedTrial(dict(params))
    space.suggest(cast("Suggester", fixed))
    kept = {
        name: distribution
        for name, distribution in fixed.distributions.items()
        if name in names and not distribution.single()
    }
    return {name: params[name] for name in kept}, kept


def _study(members: Sequence[_Member]) -> optuna.Study:
    """A study of completed trials with these parameters; what they are worth is said later."""
    import optuna
    from optuna.trial import TrialState, create_trial

    study = optuna.create_study()
    study.add_trials(
        create_trial(state=TrialState.COMPLETE, params=params, distributions=space, value=0.0)
        for params, space in members
    )
    return study


def _divergences(study: optuna.Study, values: Sequence[float]) -> dict[str, float]:
    """Optuna's PED-ANOVA of the study's trials, were they worth `values`; not normalised."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    return get_param_importances(
        study,
        evaluator=PedAnovaImportanceEvaluator(target_quantile=_TARGET_QUANTILE),
        target=lambda trial: -values[trial.number],  # its best are the lowest
        normalize=False,
    )


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Neither a line for each study nor the reminder that targets are to be low."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
