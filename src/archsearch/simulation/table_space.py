"""A finite search space: its members are the rows of a table of curves.

How a row is found from what a sampler proposes:

- A column of numbers is one real parameter in [0, 1]. Rows share the cube that these parameters
  span: the first column cuts it into slices, one a value, each as wide as its share of the rows;
  the next column cuts each slice by the values of the slice's rows; and so on. So a uniform point
  is a uniform row (the Rosenblatt transformation of the rows), and a larger value always lies
  further up. Columns of few values come first.
- Any other column, and `family`, is a choice; each combination of choices has a cube of its own.
- A proposal is the nearest row that was not handed out before: the row whose box holds the
  point, or else the one whose box is nearest, least different choices first. A table has no other
  rows nearby, as a real space would, so a row that was tried is not proposed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from archsearch.errors import UsageError, nearest_names
from archsearch.models import Architecture, ArchitectureSpec
from archsearch.objective import ACCURACY
from archsearch.record.cells import TrialComplexity
from archsearch.schema import InputSpec
from archsearch.simulation.curve_table import CurveTable, Floats
from archsearch.simulation.curves import SimulatedEpoch
from archsearch.spaces.parameters import AnyParameter, Choice, FloatRange, Scalar
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.suggest import Proposal, Suggester, suggest_member
from archsearch.spaces.trial_config import TrialConfig


class RowArchitecture(Architecture):
    """A row of a table stands for a network that nobody can build."""

    family: str
    row: int

    @property
    def name(self) -> str:
        """Its number in the table, from 0."""
        return f"row-{self.row}"


class RowConfig(TrialConfig):
    """A trial of a row."""

    architecture: RowArchitecture  # type: ignore[assignment]  # no family of FAMILIES


def row_of(config: TrialConfig) -> int:
    """The row of a trial that was made by a `TableSpace`."""
    assert isinstance(config, RowConfig)
    return config.architecture.row


@dataclass(frozen=True)
class _Family:
    """The rows of one family, as its parameters show them.

    Attributes:
        rows: Their numbers in the table.
        choices: Column of choices → a value a row.
        numbers: Columns of numbers, the first one cuts first.
        low: Lower ends of the rows' boxes, a column a number.
        high: Upper ends.
    """

    rows: tuple[int, ...]
    choices: Mapping[str, Sequence[str]]
    numbers: tuple[str, ...]
    low: Floats
    high: Floats


class TableSpace:
    """The `Population` of a table's rows, each handed out once."""

    baselines: tuple[str, ...] = ()
    objective = ACCURACY.metric

    def __init__(self, table: CurveTable) -> None:
        self._table = table
        self._taken = np.zeros(table.num_rows, dtype=bool)
        self.families: Mapping[str, _Family] = {
            family: _family(table, [r for r, f in enumerate(table.families) if f == family])
            for family in sorted(set(table.families))
        }

    def take(self, row: int) -> None:
        """The row is being trained; it is not proposed again."""
        self._taken[row] = True

    def parameters(self, family: str) -> dict[str, AnyParameter]:
        """See `SearchSpace.parameters`."""
        own = self.families[family]
        choices = {f"{family}/{n}": Choice(values=tuple({*v})) for n, v in own.choices.items()}
        numbers = {f"{family}/{name}": FloatRange(low=0.0, high=1.0) for name in own.numbers}
        return {"family": Choice(values=tuple(self.families)), **choices, **numbers}

    def suggest(self, suggester: Suggester, family: str | None = None) -> Proposal:
        """See `SearchSpace.suggest`."""
        return suggest_member(suggester, self.families, self.parameters, family)

    def config(
        self,
        params: Mapping[str, Scalar],
        input_spec: InputSpec,
        seed: int,
        max_epochs: int | None = None,
    ) -> TrialConfig:
        """The nearest row that was not taken; the nearest of all when the family has no other.

        Raises:
            UsageError: The parameters are not those of a family of the table.
        """
        family = self.family_of(params)
        return RowConfig(
            architecture=RowArchitecture(family=family, row=self._nearest(family, params)),
            recipe=Recipe(),
            input=input_spec,
            max_epochs=self._table.max_epochs if max_epochs is None else max_epochs,
            seed=seed,
        )

    def _nearest(self, family: str, params: Mapping[str, Scalar]) -> int:
        own = self.families[family]
        rows = np.array(own.rows)
        far = np.zeros(len(rows))
        for name, values in own.choices.items():
            # A cube's diagonal is shorter: equal choices go before nearness within a cube.
            different = np.array(values) != params[f"{family}/{name}"]
            far += (len(own.numbers) + 1) * different
        if own.numbers:
            point = np.array([params[f"{family}/{name}"] for name in own.numbers], dtype=float)
            beside = np.maximum(np.maximum(own.low - point, point - own.high), 0.0)
            far += (beside**2).sum(axis=1)
        taken = self._taken[rows]
        if not taken.all():
            far[taken] = np.inf
        return int(rows[far.argmin()])

    def family_of(self, params: Mapping[str, Scalar]) -> str:
        """See `SearchSpace.family_of`."""
        family = params.get("family")
        if not isinstance(family, str) or family not in self.families:
            raise UsageError(
                f"the table has no family {family!r}: {nearest_names(str(family), self.families)}"
            )
        return family

    def fits(self, params: Mapping[str, Scalar]) -> bool:
        """See `SearchSpace.fits`."""
        family = params.get("family")
        if not isinstance(family, str) or family not in self.families:
            return False
        asked = self.parameters(family)
        return params.keys() == asked.keys() and all(
            parameter.contains(params[name]) for name, parameter in asked.items()
        )

    def params_of(self, architecture: ArchitectureSpec, recipe: Recipe) -> dict[str, Scalar]:
        """The choices of a row, and the middle of its box.

        Raises:
            UsageError: It is no row of the table.
        """
        row = getattr(architecture, "row", None)
        own = self.families.get(architecture.family)
        if own is None or row not in own.rows:
            raise UsageError(f"{architecture.name} is no row of the table {self._table.name}")
        place, family = own.rows.index(row), architecture.family
        middle = (own.low[place] + own.high[place]) / 2
        return {
            "family": family,
            **{f"{family}/{name}": values[place] for name, values in own.choices.items()},
            **{f"{family}/{n}": float(m) for n, m in zip(own.numbers, middle, strict=True)},
        }

    def params_of_baseline(self, name: str) -> dict[str, Scalar]:
        """A table has no published names.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"a table of curves has no baselines, but {name!r} was asked for")


def _family(table: CurveTable, rows: Sequence[int]) -> _Family:
    choices: dict[str, list[str]] = {}
    numbers: dict[str, list[float]] = {}
    for name, column in table.parameters.items():
        values = [column[row] for row in rows]
        if len(set(values)) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            numbers[name] = [float(v) for v in values if v is not None]
        else:
            choices[name] = [str(value) for value in values]
    order = sorted(numbers, key=lambda name: len(set(numbers[name])))
    low = np.zeros((len(rows), len(order)))
    high = np.ones((len(rows), len(order)))
    cubes: dict[tuple[str, ...], list[int]] = {}
    for place in range(len(rows)):
        cubes.setdefault(tuple(v[place] for v in choices.values()), []).append(place)
    for places in cubes.values():
        _cut(places, [numbers[name] for name in order], low, high)
    return _Family(tuple(rows), choices, tuple(order), low, high)


def _cut(
    places: Sequence[int], columns: Sequence[Sequence[float]], low: Floats, high: Floats
) -> None:
    """Give each place its box: cut by the first of the columns, then each slice by the others."""
    if not columns:
        return
    axis = low.shape[1] - len(columns)
    slices: dict[float | int, list[int]] = {}
    for rank, place in enumerate(sorted(places, key=lambda p: (columns[0][p], p))):
        # The last column tells equal rows apart, so that each has a box of its own.
        slices.setdefault(columns[0][place] if len(columns) > 1 else rank, []).append(place)
    begin = 0
    for members in slices.values():
        low[members, axis] = begin / len(places)
        begin += len(members)
        high[members, axis] = begin / len(places)
        _cut(members, columns[1:], low, high)


@dataclass(frozen=True)
class TableWorld:
    """The `World` of a table's rows."""

    table: CurveTable

    @property
    def name(self) -> str:
        """The table's."""
        return self.table.name

    @cached_property
    def description(self) -> str:
        """How many curves there are."""
        return f"{self.table.num_rows} learning curves of {self.table.max_epochs} epochs"

    def complexity(self, config: TrialConfig) -> TrialComplexity:
        """The same for all: no rule of a replay looks at it."""
        return TrialComplexity(params=1, macs=1, activations=1)

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        """The row's, up to the epoch in which it diverges."""
        row = row_of(config)
        values, seconds = self.table.curves[row], float(self.table.seconds[row])
        finite = int(np.isfinite(values).sum())
        return tuple(SimulatedEpoch(float(v), seconds) for v in values[: finite + 1])
