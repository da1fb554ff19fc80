"""What a search optimises: one value that everybody asks who compares or shows results."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from archsearch.errors import UnfitError


@dataclass(frozen=True)
class Objective:
    """One measurement of an epoch, and which values of it are good.

    Attributes:
        metric: The field of an epoch's result; the key in files, tags and metrics.
        direction: Whether high or low values are good.
        bounds: The lowest and the highest possible value; None where there are none.
        name: What a sentence calls a value: `validation accuracy`.
        short: What a column calls it: `accuracy`.
        plural: Several of them: `accuracies`.
        where: What it is measured on: `validation images`.
        meaning: What a value is: `share right on validation images`.
        shortfall: What `shortfall_of` is called: `error`.
        decimals: How many are shown.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    bounds: tuple[float, float] | None
    name: str
    short: str
    plural: str
    where: str
    meaning: str
    shortfall: str
    decimals: int = 4

    @property
    def label(self) -> str:
        """`accuracy on validation images`: what an axis and a caption say."""
        return f"{self.short} on {self.where}"

    @property
    def is_better(self) -> Callable[[float, float], bool]:
        """Whether the first value is better than the second; equal ones are not."""
        return operator.gt if self.direction == "maximize" else operator.lt

    def of(self, result: object) -> float:
        """The value of an epoch's result; it need not be finite."""
        return float(getattr(result, self.metric))

    def score(self, value: float) -> float:
        """The value as a number of which higher is better."""
        return value if self.direction == "maximize" else -value

    def value_of(self, score: float) -> float:
        """The value that has this score."""
        return score if self.direction == "maximize" else -score

    def sort_key(self, value: float | None) -> float:
        """Ascending keys put the best value first, and what has none last."""
        return math.inf if value is None else -self.score(value)

    def best(self, values: Iterable[float]) -> float | None:
        """The best of the values; None without any."""
        return min(values, key=self.sort_key, default=None)

    def clip(self, value: float) -> float:
        """The value, or the bound beyond which it lies."""
        if self.bounds is None:
            return value
        low, high = self.bounds
        return max(low, min(high, value))

    def shortfall_of(self, score: float) -> float:
        """How far a score falls short of the best possible one; lower is better.

        Where there is no best possible one, the score with its sign turned round: of a loss, the
        loss itself.
        """
        if self.bounds is None:
            return -score
        return max(self.score(bound) for bound in self.bounds) - score

    def format(self, value: float | None) -> str:
        """The value for a person; a dash where there is none."""
        return "–" if value is None else f"{value:.{self.decimals}f}"


ACCURACY = Objective(
    metric="val_accuracy",
    direction="maximize",
    bounds=(0.0, 1.0),
    name="validation accuracy",
    short="accuracy",
    plural="accuracies",
    where="validation images",
    meaning="share right on validation images",
    shortfall="error",
)
"""Share of the validation images that are answered right."""

DEFAULT = ACCURACY

OBJECTIVES: Mapping[str, Objective] = MappingProxyType({each.metric: each for each in (ACCURACY,)})
"""What a space can ask for, by the name that it asks by."""


def called_by_metric(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """A `dict_factory` of `dataclasses.asdict`: the field `value` is called by its metric.

    Which metric that is, the field `objective` beside it says, which is left out.
    """
    objective = dict(fields).get("objective")
    if objective is None:
        return dict(fields)
    names = {"value": objective["metric"]}
    return {names.get(name, name): value for name, value in fields if name != "objective"}


def objective_named(metric: str) -> Objective:
    """The objective of a recorded search.

    Raises:
        UnfitError: This release has none of that name.
    """
    if metric not in OBJECTIVES:
        raise UnfitError(
            f"this archsearch does not know the objective {metric!r} of the search, which a newer "
            "release may have written; use that one"
        )
    return OBJECTIVES[metric]
