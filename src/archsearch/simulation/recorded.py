"""Curves that a finished search has recorded, for searches that were never run.

A draw gets the curve of the recorded trial of its family that is nearest to it: least mean squared
difference of positions within the parameters' ranges. Only trials whose curve is known to its end
count, so what early stopping cut off is not there: the more of the record is random or control
trials, the fairer the picture. Draws share curves, so a simulated search looks more certain of
its verdict than the record allows; use it to compare ways of searching, not families.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from archsearch.errors import UnfitError, UsageError
from archsearch.record.cells import TrialComplexity
from archsearch.record.trial import TrialRecord
from archsearch.simulation.curves import SimulatedEpoch, positions
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.trial_config import TrialConfig


@dataclass(frozen=True)
class _Known:
    """A recorded trial whose curve is known to its end."""

    place: dict[str, float]
    complexity: TrialComplexity
    curve: tuple[SimulatedEpoch, ...]


class RecordedWorld:
    """The curves of one search's record.

    Raises:
        UnfitError: Some family of the space has no trial whose curve is known to its end.
    """

    def __init__(self, name: str, space: SearchSpace, trials: Sequence[TrialRecord]) -> None:
        self._name = name
        self._space = space
        self._known: dict[str, list[_Known]] = {family: [] for family in space.families}
        for trial in trials:
            curve = curve_of(trial)
            if curve is not None and trial.family in self._known:
                self._add(trial, curve)
        empty = [family for family, known in self._known.items() if not known]
        if empty:
            raise UnfitError(
                f"the search {name!r} has no trial of {', '.join(empty)} that was trained to its "
                "end, so there is no curve to simulate with; run more trials of it"
            )

    def _add(self, trial: TrialRecord, curve: tuple[SimulatedEpoch, ...]) -> None:
        try:
            place = positions(self._space, trial.config)
        except UsageError:  # recorded under a wider space
            return
        self._known[trial.family].append(_Known(place, trial.complexity, curve))

    @property
    def name(self) -> str:
        """The recorded search's."""
        return self._name

    @cached_property
    def description(self) -> str:
        """How many curves there are."""
        counted = ", ".join(f"{len(known)} {family}" for family, known in self._known.items())
        return f"curves recorded by {self._name} ({counted})"

    def complexity(self, config: TrialConfig) -> TrialComplexity:
        """The nearest recorded trial's."""
        return self._nearest(config).complexity

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        """The nearest recorded trial's."""
        return self._nearest(config).curve

    def _nearest(self, config: TrialConfig) -> _Known:
        place = positions(self._space, config)
        known = self._known[config.architecture.family]
        return min(known, key=lambda one: _distance(place, one.place))


def curve_of(trial: TrialRecord) -> tuple[SimulatedEpoch, ...] | None:
    """The trial's whole curve; None for one that was stopped, failed or is not finished."""
    if trial.outcome not in ("completed", "diverged") or not trial.epochs:
        return None
    if trial.arm == "confirm":
        return None
    epochs = tuple(
        SimulatedEpoch(
            math.nan if epoch.value is None else epoch.value,
            epoch.result.seconds,
        )
        for epoch in trial.epochs
    )
    is_whole = len(epochs) == trial.config.max_epochs or epochs[-1].is_diverged
    return epochs if is_whole else None


def _distance(first: dict[str, float], second: dict[str, float]) -> float:
    return sum((first[name] - second[name]) ** 2 for name in first)
