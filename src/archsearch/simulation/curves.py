"""What a simulation is told instead of training: the cost of a variant, and its learning curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from archsearch.record.cells import TrialComplexity
from archsearch.spaces.parameters import AnyParameter, Choice, Constant, FloatRange, IntRange
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.trial_config import TrialConfig


@dataclass(frozen=True)
class SimulatedEpoch:
    """One epoch as a worker would report it.

    Attributes:
        value: Of the objective; NaN where the trial diverges, and it is the last epoch then.
        seconds: What it takes, on one worker.
    """

    value: float
    seconds: float

    @property
    def is_diverged(self) -> bool:
        """Whether the trial ends here because nothing is finite any more."""
        return not math.isfinite(self.value)


class World(Protocol):
    """Where curves come from; the same trial always gets the same one.

    Obligations: `curve` has an epoch for every epoch up to `config.max_epochs`, or ends with a
    diverged one; `params` and `macs` of `complexity` are positive.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def description(self) -> str:
        """What the curves are, in a few words for a person."""
        ...

    def complexity(self, config: TrialConfig) -> TrialComplexity:
        """What pre-flight would count."""
        ...

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        """The whole learning curve, whatever part of it a search will see."""
        ...


def positions(space: SearchSpace, config: TrialConfig) -> dict[str, float]:
    """Where each searched value of a member lies in its range, by the parameter's full name.

    Of a uniform draw each position is uniform in (0, 1); of a choice, the middles of equal parts.

    Raises:
        UsageError: It is not a member of the space.
    """
    params = space.params_of(config.architecture, config.recipe)
    asked = space.parameters(config.architecture.family)
    del asked["family"]
    return {name: _position(parameter, params[name]) for name, parameter in asked.items()}


def _position(parameter: AnyParameter, value: object) -> float:
    match parameter:
        case Constant():
            return 0.5
        case Choice(values=values):
            return (values.index(value) + 0.5) / len(values)
        case IntRange(low=low, high=high, log=True):
            return _share(math.log(_number(value)), math.log(low - 0.5), math.log(high + 0.5))
        case IntRange(low=low, high=high, step=step):
            return _share(_number(value), low - step / 2, high + step / 2)
        case FloatRange(low=low, high=high, log=True):
            return _share(math.log(_number(value)), math.log(low), math.log(high))
        case FloatRange(low=low, high=high):
            return _share(_number(value), low, high)


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
