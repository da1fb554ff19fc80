"""Something that suggests: the protocol a space asks, and the uniform one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from archsearch.spaces.parameters import (
    AnyParameter,
    Choice,
    Constant,
    FloatRange,
    IntRange,
    Scalar,
)


class Suggester(Protocol):
    """Answers a space's questions, one call a parameter, each name at most once a proposal.

    Obligations: a value from `choices`; a whole number on the grid `low + n * step` up to `high`;
    a real number within the closed bounds. `log` asks for a uniform draw in the logarithm and
    comes with `step=1`. An Optuna `Trial` satisfies it.
    """

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Any:
        """One of `choices` (Optuna's declared type is wider than that)."""
        ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number on the grid."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number within the bounds."""
        ...


class SupportsRandom(Protocol):
    """A source of uniform numbers: `random.Random` and `numpy.random.Generator` are two."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class UniformSuggester:
    """Draws every value uniformly (in the logarithm, where asked), one random number a value.

    One number a value keeps the draws of equal seeds equal when a range is edited: the values of
    the other parameters do not move.
    """

    def __init__(self, generator: SupportsRandom) -> None:
        self._generator = generator

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of `choices`, all equally likely."""
        return choices[self._index(len(choices))]

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number on the grid; with `log`, the rounding of a log-uniform real number.

        The real number lies between `low - 0.5` and `high + 0.5`, so that the two ends get the
        share that their neighbours suggest (as in Optuna).
        """
        if log:
            drawn = round(self._log_uniform(low - 0.5, high + 0.5))
            return min(max(drawn, low), high)
        return low + step * self._index((high - low) // step + 1)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number within the bounds."""
        if log:
            return min(max(self._log_uniform(low, high), low), high)
        return min(low + (high - low) * self._generator.random(), high)

    def _index(self, size: int) -> int:
        return min(int(self._generator.random() * size), size - 1)

    def _log_uniform(self, low: float, high: float) -> float:
        fraction = self._generator.random()
        return math.exp(math.log(low) + (math.log(high) - math.log(low)) * fraction)


class SmallestSuggester:
    """Gives the smallest of everything that has an order, and the first of what has none."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """The smallest number, or the first choice if not all are numbers."""
        numbers = [choice for choice in choices if isinstance(choice, int | float)]
        return min(numbers) if len(numbers) == len(choices) else choices[0]

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """The lower bound."""
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """The lower bound."""
        return low


def ask(suggester: Suggester, name: str, parameter: AnyParameter) -> Scalar:
    """Ask `suggester` for the value of one parameter; a constant answers for itself."""
    match parameter:
        case Constant(value=value):
            return value
        case Choice(values=values):
            chosen: Scalar = suggester.suggest_categorical(name, values)
            return chosen
        case IntRange(low=low, high=high, step=step, log=log):
            return suggester.suggest_int(name, low, high, step=step, log=log)
        case FloatRange(low=low, high=high, log=log):
            return suggester.suggest_float(name, low, high, log=log)


@dataclass(frozen=True)
class Proposal:
    """One member, as a suggester answered: the searched values by their full names."""

    family: str
    params: dict[str, Scalar]


def suggest_member(
    suggester: Suggester,
    families: Iterable[str],
    parameters_of: Callable[[str], Mapping[str, AnyParameter]],
    family: str | None = None,
) -> Proposal:
    """Ask for the family, unless it is given, then for its parameters.

    Args:
        suggester: Who answers.
        families: From which to choose.
        parameters_of: The parameters of a family by their full names, `family` among them.
        family: The family, where it is settled.
    """
    if family is None:
        family = str(suggester.suggest_categorical("family", tuple(families)))
    values = {
        name: ask(suggester, name, parameter)
        for name, parameter in parameters_of(family).items()
        if name != "family"
    }
    return Proposal(family, {"family": family, **values})
