"""The members of a finite space, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from archsearch.spaces.parameters import AnyParameter, Choice, FloatRange, IntRange, Scalar
from archsearch.spaces.population import Population


def num_members(space: Population) -> int | None:
    """How many combinations of values a space has; None where a range of real numbers is searched.

    Combinations that make no valid description count, and so do two that mean the same.
    """
    counts = [_num_in_family(space, family) for family in space.families]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def members(space: Population) -> Iterator[dict[str, Scalar]]:
    """Every combination of a finite space as parameters by full name, `family` first.

    Raises:
        ValueError: The space is not finite.
    """
    for family in sorted(space.families):
        asked = space.parameters(family)
        del asked["family"]
        for values in product(*map(_values, asked.values())):
            yield {"family": family, **dict(zip(asked, values, strict=True))}


def _num_in_family(space: Population, family: str) -> int | None:
    asked = space.parameters(family)
    del asked["family"]
    if any(isinstance(parameter, FloatRange) for parameter in asked.values()):
        return None
    return prod(len(_values(parameter)) for parameter in asked.values())


def _values(parameter: AnyParameter) -> range | tuple[Scalar, ...]:
    match parameter:
        case Choice(values=values):
            return values
        case IntRange(low=low, high=high, step=step):
            return range(low, high + 1, step)
        case _:
            raise ValueError(f"a list of its values needs a finite parameter, got {parameter!r}")
