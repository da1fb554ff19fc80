"""Which changes of a space leave its old members what they were."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from archsearch.schema import InputSpec
from archsearch.spaces.parameters import (
    AnyParameter,
    Choice,
    Constant,
    FloatRange,
    IntRange,
    Scalar,
)
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import UniformSuggester
from archsearch.spaces.widening import covers, difference

BASE = """
families:
  wrn: {depth: 16, widen_factor: {choice: [1, 2]}}
training:
  learning_rate: {float: [0.01, 0.5], log: true}
  batch_size: {choice: [32, 64]}
fidelity: {max_epochs: 9, grace_period_epochs: 1}
constraints: {max_params: 1000000}
baselines: [WRN-16-1]
"""


def space(**changes: Any) -> SearchSpace:
    raw: dict[str, Any] = yaml.safe_load(BASE)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return SearchSpace.model_validate(raw)


WIDER: list[tuple[dict[str, Any], str]] = [
    ({"families__resnet": {"depth": 8}}, "family resnet"),
    (
        {"families__wrn__widen_factor": {"choice": [1, 2, 4]}},
        "wrn/widen_factor was {choice: [1, 2]}, now {choice: [1, 2, 4]}",
    ),
    ({"families__wrn__widen_factor": {"int": [1, 3]}}, "wrn/widen_factor was {choice: [1, 2]}, "),
    (
        {"families__wrn__depth": {"int": [10, 28], "step": 6}},
        "wrn/depth was 16, now {int: [10, 28], step: 6}",
    ),
    (
        {"families__wrn__dropout": {"float": [0.0, 0.3]}},
        "wrn/dropout was left at its default, now {float: [0.0, 0.3]}",
    ),
    (
        {"training__learning_rate": {"float": [0.001, 0.5], "log": True}},
        "training/learning_rate was {float: [0.01, 0.5], log: true}, now",
    ),
    ({"constraints__max_params": 2_000_000}, "max_params was 1,000,000, now 2,000,000"),
    ({"constraints__max_params": None}, "max_params was 1,000,000, now none"),
    ({"baselines": ["WRN-16-2", "WRN-16-1"]}, "baseline WRN-16-2"),
]


@pytest.mark.parametrize(("changes", "told"), WIDER, ids=[" ".join(c) for c, _ in WIDER])
def test_wider_spaces_are_told_from_narrower_ones(changes: dict[str, Any], told: str) -> None:
    found = difference(space(), space(**changes))
    assert found.is_wider
    assert len(found.added) == 1
    assert told in found.added[0]
    back = difference(space(**changes), space())
    assert not back.is_wider
    assert len(back.lost) == 1


OTHER: list[tuple[dict[str, Any], str]] = [
    ({"families__wrn__widen_factor": {"choice": [1, 4]}, "baselines": []}, "wrn/widen_factor was"),
    ({"families__wrn__widen_factor": 1}, "wrn/widen_factor was {choice: [1, 2]}, now 1"),
    ({"families__wrn__depth": 10, "baselines": []}, "wrn/depth was 16, now 10"),
    ({"families__wrn__dropout": {"float": [0.1, 0.3]}, "baselines": []}, "wrn/dropout was left"),
    ({"families__wrn__dropout": 0.2, "baselines": []}, "wrn/dropout was left at its default, no"),
    ({"training__learning_rate": {"float": [0.01, 0.5]}}, "training/learning_rate was {float: "),
    ({"training__batch_size": None}, "training/batch_size was {choice: [32, 64]}, now it is left"),
    ({"fidelity__max_epochs": 27}, "fidelity was {max_epochs: 9, grace_period_epochs: 1, reduct"),
    ({"fidelity__reduction_factor": 4}, "fidelity was {max_epochs: 9"),
    ({"constraints__max_params": 10_000}, "max_params was 1,000,000, now 10,000"),
    ({"constraints__max_macs": 10**7}, "max_macs was none, now 10,000,000"),
    ({"baselines": []}, "baseline WRN-16-1 is gone"),
]


@pytest.mark.parametrize(("changes", "told"), OTHER, ids=[" ".join(c) for c, _ in OTHER])
def test_what_is_not_only_wider_is_told_with_the_difference(
    changes: dict[str, Any], told: str
) -> None:
    found = difference(space(), space(**changes))
    assert not found.is_wider
    assert any(told in text for text in found.lost), found.lost


def test_a_space_that_is_wider_here_and_narrower_there_is_not_wider() -> None:
    changes = {"families__resnet": {"depth": 8}, "training__batch_size": 32}
    found = difference(space(), space(**changes))
    assert found.added == ("family resnet",)
    assert len(found.lost) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "another question"},
        {"families__wrn__dropout": 0.0},
        {"families__wrn__widen_factor": {"choice": [2, 1]}},
    ],
)
def test_equal_meanings_have_no_difference(changes: dict[str, Any]) -> None:
    found = difference(space(), space(**changes))
    assert found.added == found.lost == ()


@pytest.mark.parametrize(("changes", "told"), WIDER, ids=[" ".join(c) for c, _ in WIDER])
def test_every_member_of_the_old_space_is_one_of_the_wider_one(
    changes: dict[str, Any], told: str
) -> None:
    old, new = space(), space(**changes)
    suggester = UniformSuggester(random.Random(3))
    images = InputSpec(in_channels=1, image_size=8, num_classes=10)
    for _ in range(50):
        config = old.config(old.suggest(suggester).params, images, seed=1)
        params = new.params_of(config.architecture, config.recipe)
        assert new.config(params, images, seed=1) == config


PARAMETERS: list[AnyParameter] = [
    *(Constant(value=value) for value in (1, 2, 3, 4.0, 2.5, True, "a")),
    *(Choice(values=values) for values in ((1, 2), (1, 2, 3), (2, 4), ("a", "b"), (1.0, 2.5))),
    *(
        IntRange(low=low, high=high, step=step)
        for low, high, step in ((1, 3, 1), (1, 5, 2), (2, 4, 2), (1, 9, 4), (0, 6, 3), (3, 3, 1))
    ),
    IntRange(low=1, high=3, log=True),
    FloatRange(low=1.0, high=3.0),
    FloatRange(low=0.5, high=4.0),
    FloatRange(low=1.0, high=3.0, log=True),
]


def values_of(parameter: AnyParameter) -> list[Scalar]:
    """All values, or a grid of a range of real numbers that no choice here has."""
    match parameter:
        case FloatRange(low=low, high=high):
            return [low + (high - low) * i / 97 for i in range(98)]
        case _:
            return list(parameter.examples(100))


@pytest.mark.parametrize("wide", PARAMETERS, ids=repr)
@pytest.mark.parametrize("narrow", PARAMETERS, ids=repr)
def test_covering_is_containing_every_value(wide: AnyParameter, narrow: AnyParameter) -> None:
    """Checked by brute force; ranges on another scale, or of another kind, are never covered."""
    contained = all(wide.contains(value) for value in values_of(narrow))
    same_scale = getattr(wide, "log", None) == getattr(narrow, "log", None)
    both_ranges = isinstance(wide, IntRange | FloatRange) and isinstance(
        narrow, IntRange | FloatRange
    )
    comparable = not both_ranges or (same_scale and type(wide) is type(narrow))
    if isinstance(narrow, IntRange) and narrow.low == narrow.high:
        return  # read from a file, it would be a constant
    assert covers(wide, narrow) == (contained and comparable)


@pytest.mark.parametrize(
    ("changes", "redrawn"),
    [
        ({"families__densenet": {"depth": 22, "growth_rate": 4}}, ()),
        ({"constraints__max_params": 2_000_000}, ()),
        ({"baselines": ["WRN-16-2", "WRN-16-1"]}, ()),
        ({"families__wrn__block": "B(3,3)"}, ()),  # its default, written out
        ({"families__wrn__widen_factor": {"choice": [1, 2, 4]}}, ("wrn",)),
        ({"training__learning_rate": {"float": [0.001, 0.5], "log": True}}, ("resnet", "wrn")),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else " ".join(value),
)
def test_families_of_which_other_members_are_drawn_are_told(
    changes: dict[str, Any], redrawn: tuple[str, ...]
) -> None:
    other = {"families__resnet": {"depth": 8}}
    assert difference(space(**other), space(**other, **changes)).redrawn == redrawn
