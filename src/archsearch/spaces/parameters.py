"""What may vary: the three kinds of parameter of a space, and the constant.

All four answer the same questions (`is_searched`, `contains`, `nearest`, `examples`), and
`model_dump` writes each in the form of a space file.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, TypeAlias

from pydantic import (
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
    model_serializer,
    model_validator,
)

from archsearch.schema import Frozen

Scalar: TypeAlias = bool | int | float | str
_StrictScalar: TypeAlias = StrictBool | StrictInt | StrictFloat | StrictStr

_GOLDEN = (5**0.5 - 1) / 2
_LARGEST_INT = (
    2**53
)  # beyond it a float no longer tells whole numbers apart, and samplers use floats


class Constant(Frozen):
    """One value, never asked of a sampler."""

    value: _StrictScalar

    @property
    def is_searched(self) -> bool:
        """Whether a sampler is asked for it."""
        return False

    def contains(self, value: object) -> bool:
        """Whether `value` is the constant."""
        return _same(value, self.value)

    def nearest(self, value: object) -> Scalar:
        """The constant, whatever `value` is."""
        return self.value

    def examples(self, limit: int) -> tuple[Scalar, ...]:
        """The constant alone."""
        return (self.value,)

    @model_serializer
    def _as_in_a_file(self) -> Scalar:
        return self.value


class Choice(Frozen):
    """One of several values; kept sorted, so that their order in a file means nothing."""

    values: tuple[_StrictScalar, ...]

    @field_validator("values")
    @classmethod
    def _sorted_and_distinct(cls, values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if not values:
            raise ValueError("a choice needs at least one value, got an empty list")
        numbers = [v for v in values if not isinstance(v, str)]
        for number in numbers:
            check_size(number)
        if len({*numbers}) + len({v for v in values if isinstance(v, str)}) < len(values):
            raise ValueError(f"choices must differ from each other, got {list(values)}")
        return tuple(sorted(values, key=_sort_key))

    @property
    def is_searched(self) -> bool:
        """Whether a sampler is asked for it."""
        return True

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the choices."""
        return any(_same(value, choice) for choice in self.values)

    def nearest(self, value: object) -> Scalar:
        """The choice closest to a number (the smaller of two equally close), else the first."""
        for choice in self.values:
            if _same(value, choice):
                return choice
        numbers = [c for c in self.values if not isinstance(c, str | bool)]
        if isinstance(value, str | bool) or not isinstance(value, int | float) or not numbers:
            return self.values[0]
        return min(numbers, key=lambda choice: abs(choice - value))

    def examples(self, limit: int) -> tuple[Scalar, ...]:
        """At most `limit` of the choices: the first ones."""
        return self.values[:limit]

    @model_serializer
    def _as_in_a_file(self) -> dict[str, Any]:
        return {"choice": list(self.values)}


class IntRange(Frozen):
    """Whole numbers `low, low + step, …, high`, both ends included."""

    low: StrictInt
    high: StrictInt
    step: StrictInt = 1
    log: StrictBool = False
    """Sample uniformly in the logarithm (steps of 1 only)."""

    @model_validator(mode="after")
    def _is_a_range(self) -> IntRange:
        check_size(self.low)
        check_size(self.high)
        if self.low > self.high:
            raise ValueError(f"`low <= high` must hold, got [{self.low}, {self.high}]")
        if self.step < 1:
            raise ValueError(f"`step >= 1` must hold, got step={self.step}")
        if self.log and self.step != 1:
            raise ValueError(f"`log` goes with steps of 1, got step={self.step}")
        if self.log and self.low < 1:
            raise ValueError(f"`low >= 1` must hold with `log`, got low={self.low}")
        if (self.high - self.low) % self.step:
            below = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"`high` must be on the grid `low + n * step`, got [{self.low}, {self.high}] "
                f"with step={self.step}; nearest: {below}, {below + self.step}"
            )
        return self

    @property
    def is_searched(self) -> bool:
        """Whether a sampler is asked for it."""
        return True

    def contains(self, value: object) -> bool:
        """Whether `value` is a whole number on the grid."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def nearest(self, value: object) -> Scalar:
        """The grid point closest to a number (the smaller of two equally close), else `low`."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return self.low
        inside = min(max(value, self.low), self.high)
        steps = math.ceil((inside - self.low) / self.step - 0.5)
        return self.low + steps * self.step

    def examples(self, limit: int) -> tuple[Scalar, ...]:
        """All values if there are at most `limit`, else the first and last `limit / 2`."""
        grid = range(self.low, self.high + 1, self.step)
        if len(grid) <= limit:
            return tuple(grid)
        half = max(1, limit // 2)
        return (*islice(grid, half), *grid[-half:])

    @model_serializer
    def _as_in_a_file(self) -> dict[str, Any]:
        written: dict[str, Any] = {"int": [self.low, self.high]}
        if self.step != 1:
            written["step"] = self.step
        return written | ({"log": True} if self.log else {})


class FloatRange(Frozen):
    """Real numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: StrictBool = False
    """Sample uniformly in the logarithm."""

    @model_validator(mode="after")
    def _is_a_range(self) -> FloatRange:
        if self.low > self.high:
            raise ValueError(f"`low <= high` must hold, got [{self.low}, {self.high}]")
        if self.log and self.low <= 0:
            raise ValueError(f"`low > 0` must hold with `log`, got low={self.low}")
        if math.isinf(self.high - self.low):
            raise ValueError(f"`high - low` must be finite, got [{self.low}, {self.high}]")
        return self

    @property
    def is_searched(self) -> bool:
        """Whether a sampler is asked for it."""
        return True

    def contains(self, value: object) -> bool:
        """Whether `value` is a number between the bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high

    def nearest(self, value: object) -> Scalar:
        """A number moved to the nearer bound if it lies outside; `low` for anything else."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return self.low
        return float(min(max(value, self.low), self.high))

    def examples(self, limit: int) -> tuple[Scalar, ...]:
        """At most three: the bounds, and a number between them that is no round one."""
        between = self.low + (self.high - self.low) * _GOLDEN
        return tuple(dict.fromkeys((self.low, self.high, between)))[:limit]

    @model_serializer
    def _as_in_a_file(self) -> dict[str, Any]:
        written: dict[str, Any] = {"float": [self.low, self.high]}
        return written | ({"log": True} if self.log else {})


AnyParameter: TypeAlias = Constant | Choice | IntRange | FloatRange


def check_size(value: object) -> None:
    """Refuse whole numbers that a sampler's floats could not tell apart.

    Raises:
        ValueError: It is larger than 2**53 or smaller than -2**53.
    """
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        raise ValueError(
            f"whole numbers must lie within ±2**53, got one of {value.bit_length()} bits"
        )


def _same(given: object, value: Scalar) -> bool:
    """Equality that keeps `true` apart from `1`, but not `1` from `1.0`."""
    return isinstance(given, bool) == isinstance(value, bool) and given == value


def _sort_key(value: Scalar) -> tuple[int, Any]:
    return (1, value) if isinstance(value, str) else (0, value)
