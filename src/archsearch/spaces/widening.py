"""Is one space a wider version of another? Then what was trained in it still belongs there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from archsearch.models import FAMILIES
from archsearch.spaces.branches import (
    Branch,
    members_tried,
    searchable_fields,
    without_defaults,
)
from archsearch.spaces.forms import written
from archsearch.spaces.limits import Constraints
from archsearch.spaces.parameters import AnyParameter, Choice, Constant, FloatRange, IntRange
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.space import SearchSpace


@dataclass(frozen=True)
class Difference:
    """What a space has, compared with an earlier version of it; all empty for equal meanings.

    Attributes:
        added: What is wider, for a person.
        lost: What is narrower or simply another; a wider space has none of it.
        redrawn: Families of both whose uniform draws are others now, for their own parameters or
            those of training are. Caps do not count here: they decide at which costs a family is
            drawn, and families are compared at equal cost.
    """

    added: tuple[str, ...]
    lost: tuple[str, ...]
    redrawn: tuple[str, ...]

    @property
    def is_wider(self) -> bool:
        """Whether every member of the earlier space is one of this too, and means the same."""
        return not self.lost


def difference(old: SearchSpace, new: SearchSpace) -> Difference:
    """Compare two versions of a space.

    Wider are: another family, choice or baseline; a range that contains the old one with its
    step, on the same scale; a field that was left at its default and now varies around it; a
    higher cap. How long trials train, and what is maximised, must be equal.
    """
    told = [*_families(old, new), *_branch(old.training, new.training, Recipe, "training")]
    if old.fidelity != new.fidelity:
        told.append((False, f"fidelity was {_plain(old.fidelity)}, now {_plain(new.fidelity)}"))
    if old.objective != new.objective:
        told.append((False, f"objective was {old.objective}, now {new.objective}"))
    told += _caps(old.constraints, new.constraints)
    told += [(False, f"baseline {n} is gone") for n in old.baselines if n not in new.baselines]
    told += [(True, f"baseline {n}") for n in new.baselines if n not in old.baselines]
    return Difference(
        tuple(text for is_wider, text in told if is_wider),
        tuple(text for is_wider, text in told if not is_wider),
        tuple(_redrawn(old, new)),
    )


_Told = tuple[bool, str]
"""Whether it makes the space wider, and what it is."""


def _redrawn(old: SearchSpace, new: SearchSpace) -> Iterator[str]:
    other_training = any(_branch(old.training, new.training, Recipe, "training"))
    for family in sorted(old.families.keys() & new.families.keys()):
        branches = old.families[family], new.families[family]
        if other_training or any(_branch(*branches, FAMILIES[family], family)):
            yield family


def _families(old: SearchSpace, new: SearchSpace) -> Iterator[_Told]:
    for family, branch in old.families.items():
        if family not in new.families:
            yield False, f"family {family} is gone"
        else:
            yield from _branch(branch, new.families[family], FAMILIES[family], family)
    yield from ((True, f"family {f}") for f in new.families if f not in old.families)


def _branch(old: Branch, new: Branch, described: type[BaseModel], prefix: str) -> Iterator[_Told]:
    old, new = without_defaults(old, described), without_defaults(new, described)
    for field in searchable_fields(described):
        before, now = old.get(field), new.get(field)
        name = f"{prefix}/{field}"
        if before == now:
            continue
        if before is None:
            assert now is not None
            is_wider = all(now.contains(default) for default in _defaults(old, described, field))
            yield is_wider, f"{name} was left at its default, now {written(now)}"
        elif now is None:
            yield False, f"{name} was {written(before)}, now it is left at its default"
        else:
            yield covers(now, before), f"{name} was {written(before)}, now {written(now)}"


def _defaults(branch: Branch, described: type[BaseModel], field: str) -> Iterator[object]:
    """What members have in a field that their branch leaves out; it may follow from others."""
    for member in members_tried(branch):
        yield described(**member).model_dump(mode="json")[field]


def covers(wide: AnyParameter, narrow: AnyParameter) -> bool:
    """Whether every value of one parameter is a value of the other, on the same scale."""
    match narrow, wide:
        case Constant(value=value), _:
            return wide.contains(value)
        case Choice(values=values), _:
            return all(wide.contains(value) for value in values)
        case IntRange(), IntRange():
            on_grid = narrow.step % wide.step == 0
            return on_grid and narrow.log == wide.log and _holds_ends(wide, narrow)
        case IntRange(low=low, high=high, step=step), Choice(values=values):
            grid = range(low, high + 1, step)
            return len(grid) <= len(values) and all(wide.contains(value) for value in grid)
        case FloatRange(), FloatRange():
            return narrow.log == wide.log and _holds_ends(wide, narrow)
        case _:
            return False


def _holds_ends(wide: AnyParameter, narrow: IntRange | FloatRange) -> bool:
    return wide.contains(narrow.low) and wide.contains(narrow.high)


def _caps(old: Constraints, new: Constraints) -> Iterator[_Told]:
    for name in Constraints.model_fields:
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            is_wider = before is not None and (now is None or now > before)
            yield is_wider, f"{name} was {_cap(before)}, now {_cap(now)}"


def _cap(cap: int | None) -> str:
    return "none" if cap is None else f"{cap:,}"


def _plain(model: BaseModel) -> str:
    fields: Mapping[str, object] = model.model_dump(exclude_none=True)
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"
