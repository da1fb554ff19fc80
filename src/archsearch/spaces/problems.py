"""What is wrong with a space, place by place, so that everything wrong can be told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from archsearch.errors import nearest_names
from archsearch.spaces.forms import shown

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """A sentence on one place: what is wrong, what was given, what is allowed."""

    path: Path
    message: str

    def __str__(self) -> str:
        where = "/".join(map(_legible, self.path))
        return f"{where}: {self.message}" if where else self.message


class InvalidSpaceError(ValueError):
    """A search space breaks rules: all of them, as `problems`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[InvalidSpaceError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def sentence(message: str) -> str:
    """A validator's own sentence, without the frame that pydantic puts around it."""
    return message.removeprefix("Value error, ")


def from_validation_error(
    error: ValidationError, model: type[BaseModel], path: Path = ()
) -> list[Problem]:
    """The problems that pydantic found in `model`, each with its place below `path`."""
    return [
        Problem((*path, *found["loc"]), _sentence_of(found["type"], found, model))
        for found in error.errors(include_url=False)
    ]


def unknown(key: object, known: Iterable[str], what: str = "field") -> str:
    """The sentence for a key that nobody knows."""
    return f"unknown {what} {shown(key)}: {nearest_names(str(key)[:80], known)}"


def _legible(key: str | int) -> str:
    text = str(key)
    return text if text.isprintable() and len(text) <= 60 else repr(text[:60])


def _sentence_of(kind: str, found: object, model: type[BaseModel]) -> str:
    assert isinstance(found, dict)
    if kind == "extra_forbidden":
        inner = _model_at(model, found["loc"][:-1])
        return unknown(found["loc"][-1], inner.model_fields)
    if kind == "missing":
        return f"`{found['loc'][-1]}` is required and not given"
    text = sentence(found["msg"])
    if kind == "value_error":
        return text
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        text = "expected a mapping"
    return f"{text[:1].lower()}{text[1:]}, got {shown(found['input'])}"


def _model_at(model: type[BaseModel], loc: Path) -> type[BaseModel]:
    """The model that describes the place `loc` of `model`, as far as fields are models."""
    for key in loc:
        field = model.model_fields.get(str(key))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model
