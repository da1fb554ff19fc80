"""How a parameter is written in a space file.

`{choice: [a, b]}`, `{int: [low, high], step: s}` or `{int: [low, high], log: true}`,
`{float: [low, high], log: true}`; a bare value is a constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import BeforeValidator, ValidationError

from archsearch.spaces.parameters import (
    AnyParameter,
    Choice,
    Constant,
    FloatRange,
    IntRange,
    Scalar,
    check_size,
)

_FORMS = "a bare value, {choice: [a, b]}, {int: [low, high]} or {float: [low, high]}"
_MODIFIERS = {"choice": (), "int": ("step", "log"), "float": ("log",)}


def parse_parameter(raw: object) -> AnyParameter:
    """Read one parameter in the form of a space file (an already read one is returned as it is).

    Raises:
        ValueError: It is none of the forms, or its bounds or values break a rule; the sentence
            says which, what was given and what is allowed.
    """
    if isinstance(raw, get_args(AnyParameter)):
        return raw  # type: ignore[no-any-return]
    if isinstance(raw, Scalar):
        return _made(Constant, value=_finite(raw))
    if isinstance(raw, list | tuple):
        raise ValueError(
            f"a parameter is {_FORMS}, got a list; if it lists choices, write "
            "{choice: [" + _shown(", ".join(map(str, raw[:20]))) + "]}"
        )
    if not isinstance(raw, Mapping):
        raise ValueError(f"a parameter is {_FORMS}, got {shown(raw)}")
    kinds = [kind for kind in _MODIFIERS if kind in raw]
    if len(kinds) != 1:
        found = f"both {' and '.join(kinds)}" if kinds else f"keys {_shown(str(list(raw)[:8]))}"
        raise ValueError(f"a parameter is {_FORMS}, got {found}")
    return _parse_kind(kinds[0], raw)


Parameter: TypeAlias = Annotated[AnyParameter, BeforeValidator(parse_parameter)]


def shown(value: object) -> str:
    """A value as an error message shows it: its `repr`, cut where it gets long."""
    if isinstance(value, str):
        return _shown(repr(value[:200]))
    if isinstance(value, Mapping | list | tuple):
        name = "a mapping" if isinstance(value, Mapping) else "a list"
        return f"{name} of {len(value)}" if value else f"an empty {name[2:]}"
    return "nothing (null)" if value is None else _shown(repr(value))


def written(parameter: AnyParameter) -> str:
    """A parameter on one line, in the form of a space file: `{int: [10, 40], step: 6}`."""
    form = parameter.model_dump(mode="json")
    if not isinstance(form, dict):
        return _plain(form)
    parts = (f"{key}: {_plain(value)}" for key, value in form.items())
    return f"{{{', '.join(parts)}}}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse_kind(kind: str, raw: Mapping[Any, Any]) -> AnyParameter:
    allowed = _MODIFIERS[kind]
    others = [key for key in raw if key != kind]
    unknown = [key for key in others if key not in allowed]
    if unknown:
        raise ValueError(
            f"`{kind}` may come with {' or '.join(allowed) or 'nothing else'}, "
            f"got {_shown(', '.join(map(str, unknown[:8])))}"
        )
    values = raw[kind]
    if not isinstance(values, list | tuple):
        wanted = "[value, value, …]" if kind == "choice" else "[low, high]"
        raise ValueError(f"`{kind}` takes a list {wanted}, got {shown(values)}")
    options = {key: raw[key] for key in others}
    if kind == "choice":
        return _made(Choice, values=tuple(_finite(_scalar(value)) for value in values))
    if len(values) != 2:
        raise ValueError(f"`{kind}` takes two bounds [low, high], got {len(values)} values")
    for name, value in (("low", values[0]), ("high", values[1]), *options.items()):
        _check_type(kind, name, value)
    low, high = (_finite(value) for value in values)
    if kind == "int":
        return _made(IntRange, low=low, high=high, **options)
    return _made(FloatRange, low=float(low), high=float(high), **options)


def _check_type(kind: str, name: str, value: object) -> None:
    """Refuse `true` as a number, `16.0` or `"16"` as a whole number, and `1` as a switch."""
    if name == "log":
        if not isinstance(value, bool):
            raise ValueError(f"`log` is true or false, got {shown(value)}")
        return
    wanted = int if kind == "int" else int | float
    if isinstance(value, bool) or not isinstance(value, wanted):
        noun = "a whole number" if kind == "int" else "a number"
        hint = (
            "; write {float: [low, high]}" if isinstance(value, float) and name != "step" else ""
        )
        raise ValueError(f"`{name}` of `{kind}` must be {noun}, got {shown(value)}{hint}")


def _made(kind: type[AnyParameter], **fields: Any) -> AnyParameter:
    """Construct a parameter; its rules' sentences come without pydantic's frame."""
    try:
        return kind(**fields)
    except ValidationError as error:
        sentences = (found["msg"].removeprefix("Value error, ") for found in error.errors())
        raise ValueError("; ".join(dict.fromkeys(sentences))) from None


def _scalar(value: object) -> Scalar:
    if not isinstance(value, Scalar):
        raise ValueError(f"a choice lists plain values, got {shown(value)} among them")
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"numbers must be finite, got {value}")
    if isinstance(value, int):
        check_size(value)
    return value


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"
