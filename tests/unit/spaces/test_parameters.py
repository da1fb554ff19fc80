"""The kinds of parameter, and the form in which a file writes them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from archsearch.spaces.forms import parse_parameter, written
from archsearch.spaces.parameters import Choice, Constant, FloatRange, IntRange

DEPTH = IntRange(low=10, high=40, step=6)
RATE = FloatRange(low=0.01, high=1.0, log=True)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (16, Constant(value=16)),
        (0.5, Constant(value=0.5)),
        (True, Constant(value=True)),
        ("B(3,3)", Constant(value="B(3,3)")),
        ({"choice": [4, 1, 2]}, Choice(values=(1, 2, 4))),
        ({"choice": ["b", "a"]}, Choice(values=("a", "b"))),
        ({"int": [10, 40], "step": 6}, DEPTH),
        ({"int": [1, 32], "log": True}, IntRange(low=1, high=32, log=True)),
        ({"float": [0, 1]}, FloatRange(low=0.0, high=1.0)),
        ({"float": [1e-2, 1], "log": True}, RATE),
        (DEPTH, DEPTH),
    ],
)
def test_every_form_is_read_and_written_back(raw: object, expected: object) -> None:
    parameter = parse_parameter(raw)
    assert parameter == expected
    assert parse_parameter(parameter.model_dump(mode="json")) == parameter


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ([1, 2], r"write \{choice: \[1, 2\]\}"),
        (None, r"got nothing \(null\)"),
        ({}, "got keys"),
        ({"choices": [1]}, "got keys"),
        ({"int": [1, 2], "float": [1, 2]}, "got both int and float"),
        ({"choice": []}, "at least one value"),
        ({"choice": 3}, r"`choice` takes a list .* got 3"),
        ({"choice": [1, [2]]}, "plain values, got a list of 1"),
        ({"choice": [1, 1.0]}, "differ"),
        ({"choice": [True, 1]}, "differ"),
        ({"choice": ["a", "a"]}, "differ"),
        ({"choice": [1, math.nan]}, "finite, got nan"),
        ({"choice": [1], "log": True}, "nothing else, got log"),
        ({"int": [40, 10]}, r"`low <= high` must hold, got \[40, 10\]"),
        ({"int": [1]}, "two bounds"),
        ({"int": [1, 2, 3]}, "two bounds"),
        ({"int": 3}, r"\[low, high\], got 3"),
        ({"int": [1.0, 2]}, "whole number, got 1.0"),
        ({"int": ["1", 2]}, "whole number, got '1'"),
        ({"int": [True, 2]}, "whole number, got True"),
        ({"int": [1, 2], "step": 0}, "step >= 1"),
        ({"int": [1, 2], "step": 0.5}, "`step` of `int` must be a whole number"),
        ({"int": [10, 41], "step": 6}, "grid .* nearest: 40, 46"),
        ({"int": [0, 4], "log": True}, "low >= 1"),
        ({"int": [1, 5], "log": True, "step": 2}, "steps of 1"),
        ({"int": [1, 5], "log": 1}, "true or false, got 1"),
        ({"int": [1, 5], "stride": 1}, "step or log, got stride"),
        ({"int": [1, 10**40]}, r"within ±2\*\*53"),
        ({"float": [1, 0]}, "low <= high"),
        ({"float": [0, 1], "log": True}, "low > 0"),
        ({"float": [0, 1], "step": 0.1}, "log, got step"),
        ({"float": [0, math.inf]}, "finite, got inf"),
        ({"float": [math.nan, 1]}, "finite, got nan"),
        ({"float": [-1.7e308, 1.7e308]}, "must be finite"),
        ({"float": ["a", 1]}, "must be a number, got 'a'"),
        ({"float": [0, 10**400]}, r"within ±2\*\*53"),
        (math.nan, "finite"),
        pytest.param(10**5000, r"within ±2\*\*53", id="5001 digits"),
        ({1: 2}, "got keys"),
    ],
)
def test_a_broken_parameter_is_refused_with_its_rule(raw: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_parameter(raw)
    assert not isinstance(caught.value, ValidationError)  # no frame of pydantic's around it


def test_the_kinds_themselves_hold_the_rules() -> None:
    with pytest.raises(ValidationError, match="low <= high"):
        IntRange(low=3, high=1)
    with pytest.raises(ValidationError, match="finite"):
        FloatRange(low=0.0, high=math.inf)


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Constant(value=1), [1, 1.0], [True, 2, "1", None]),
        (Constant(value=True), [True], [1, "true"]),
        (Choice(values=(1, 2, 4)), [1, 4], [3, True, "1", None]),
        (Choice(values=(False, True)), [True, False], [0, 1]),
        (DEPTH, [10, 16, 40], [11, 4, 46, 16.0, "16", True, None]),
        (RATE, [0.01, 0.5, 1.0, 1], [0.009, 1.1, "1", True, math.nan, None]),
    ],
)
def test_contains(
    parameter: Constant | Choice | IntRange | FloatRange,
    inside: list[object],
    outside: list[object],
) -> None:
    assert all(parameter.contains(value) for value in inside)
    assert not any(parameter.contains(value) for value in outside)


@pytest.mark.parametrize(
    ("parameter", "given", "nearest"),
    [
        (Constant(value=3), 100, 3),
        (Choice(values=(1, 2, 4)), 64, 4),
        (Choice(values=(1, 2, 4)), 3, 2),
        (Choice(values=("a", "b")), "b", "b"),
        (Choice(values=("a", "b")), "c", "a"),
        (Choice(values=(False, True)), True, True),
        (DEPTH, 28, 28),
        (DEPTH, 13, 10),
        (DEPTH, 13.1, 16),
        (DEPTH, 1000, 40),
        (DEPTH, -1, 10),
        (DEPTH, math.inf, 40),
        (DEPTH, "deep", 10),
        (RATE, 0.1, 0.1),
        (RATE, 5, 1.0),
        (RATE, 0, 0.01),
    ],
)
def test_nearest(
    parameter: Constant | Choice | IntRange | FloatRange, given: object, nearest: object
) -> None:
    assert parameter.nearest(given) == nearest
    assert parameter.contains(parameter.nearest(given))


def test_examples_are_members_and_bounded() -> None:
    huge = IntRange(low=0, high=2**53)
    assert huge.examples(6) == (0, 1, 2, 2**53 - 2, 2**53 - 1, 2**53)
    assert DEPTH.examples(6) == (10, 16, 22, 28, 34, 40)
    for parameter in (huge, DEPTH, RATE, Choice(values=(1, 2, 3)), Constant(value="x")):
        assert all(parameter.contains(value) for value in parameter.examples(4))
        assert 1 <= len(parameter.examples(4)) <= 4


@given(
    low=st.integers(-1000, 1000),
    steps=st.integers(0, 50),
    step=st.integers(1, 40),
    value=st.floats(-1e5, 1e5),
)
def test_nearest_of_an_int_range_is_the_closest_member(
    low: int, steps: int, step: int, value: float
) -> None:
    parameter = IntRange(low=low, high=low + steps * step, step=step)
    nearest, members = parameter.nearest(value), range(low, low + steps * step + 1, step)
    assert nearest in members
    assert abs(float(nearest) - value) == min(abs(member - value) for member in members)


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (DEPTH, "{int: [10, 40], step: 6}"),
        (RATE, "{float: [0.01, 1.0], log: true}"),
        (Choice(values=("a", "b")), "{choice: [a, b]}"),
        (Constant(value=False), "false"),
    ],
)
def test_messages_show_a_parameter_in_the_form_of_a_file(
    parameter: Constant | Choice | IntRange | FloatRange, text: str
) -> None:
    assert written(parameter) == text
