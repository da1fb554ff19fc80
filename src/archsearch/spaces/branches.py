"""A branch of a space: the parameters of one description (a family's spec, or the recipe).

A branch is sound when every one of its members makes a valid description. Rules that tie fields
together (depth to block type, cardinality to width) live with the descriptions, so members are
tried: all of them while they are few, else each value of every field and each pair of values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, product
from math import prod
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from archsearch.spaces.forms import parse_parameter, shown
from archsearch.spaces.parameters import (
    AnyParameter,
    Choice,
    Constant,
    FloatRange,
    IntRange,
    Scalar,
)
from archsearch.spaces.problems import Path, Problem, from_validation_error, sentence, unknown

Branch: TypeAlias = dict[str, AnyParameter]
Member: TypeAlias = dict[str, Scalar]

_MOST_MEMBERS_TRIED = 4096
_MOST_VALUES_A_FIELD = 512
_MOST_VALUES_A_PAIR = 16
_MOST_RULES_TOLD = 2
_MOST_VALUES_TOLD = 12


def read_branch(
    raw: object, described: type[BaseModel], path: Path
) -> tuple[Branch, list[Problem]]:
    """Read the parameters of one branch and check them against what they describe.

    Args:
        raw: Field → parameter, in the form of a space file or already read.
        described: The model whose fields vary (`family` is the branch itself, not one of them).
        path: Where the branch stands in the space.

    Returns:
        The parameters in the order of the model's fields (so that a file's order means nothing),
        values in the fields' own types; and everything that is wrong (then the first is partial).
    """
    if not isinstance(raw, Mapping):
        return {}, [Problem(path, f"expected field: parameter pairs, got {shown(raw)}")]
    fields = searchable_fields(described)
    problems = [Problem((*path, _key(k)), unknown(k, fields)) for k in raw if k not in fields]
    branch: Branch = {}
    unread = False
    for field in fields:
        if field not in raw:
            continue
        try:
            branch[field] = _fitted(parse_parameter(raw[field]), described, field)
        except ValueError as error:
            problems.append(Problem((*path, field), str(error)))
            unread = True
    return branch, problems if unread else problems + _check_members(branch, described, path)


@cache
def searchable_fields(described: type[BaseModel]) -> tuple[str, ...]:
    """The names that a space file may use for `described`, in their order there."""
    return tuple(name for name in described.model_fields if name != "family")


def members_tried(branch: Branch) -> Iterator[Member]:
    """Members of a branch, enough to meet every rule on one or two of its fields.

    A range of real numbers is represented by its bounds and one number between them.
    """
    values = {name: p.examples(_MOST_VALUES_A_FIELD) for name, p in branch.items()}
    if prod(map(len, values.values())) <= _MOST_MEMBERS_TRIED:
        for member in product(*values.values()):
            yield dict(zip(values, member, strict=True))
        return
    first = {name: candidates[0] for name, candidates in values.items()}
    for name, candidates in values.items():
        for value in candidates:
            yield first | {name: value}
    for (a, in_a), (b, in_b) in combinations(values.items(), 2):
        for value_a, value_b in product(_ends(in_a), _ends(in_b)):
            yield first | {a: value_a, b: value_b}


def without_defaults(branch: Branch, described: type[BaseModel]) -> Branch:
    """The branch without the constants that leaving out would mean too."""
    return {
        field: parameter
        for field, parameter in branch.items()
        if not (isinstance(parameter, Constant) and _is_redundant(field, branch, described))
    }


def _is_redundant(field: str, branch: Branch, described: type[BaseModel]) -> bool:
    """Whether every member is the same without `field`; defaults may depend on other fields."""
    try:
        return all(
            described(**member) == described(**{k: v for k, v in member.items() if k != field})
            for member in members_tried(branch)
        )
    except ValidationError:
        return False


def _fitted(parameter: AnyParameter, described: type[BaseModel], field: str) -> AnyParameter:
    """The parameter with its values in the field's type; one that cannot vary as a constant.

    Raises:
        ValueError: A value is not one that the field takes.
    """
    adapter = _adapter(described, field)

    def fit(value: Scalar) -> Any:
        try:
            return adapter.validate_python(value, strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            text = sentence(found["msg"])
            raise ValueError(f"{text[:1].lower()}{text[1:]}, got {shown(value)}") from None

    match parameter:
        case Constant(value=value):
            return Constant(value=fit(value))
        case Choice(values=values):
            fitted = Choice(values=tuple(fit(value) for value in values))
            return fitted if len(values) > 1 else Constant(value=fitted.values[0])
        case IntRange(low=low, high=high) | FloatRange(low=low, high=high):
            first, _ = fit(low), fit(high)
            if isinstance(parameter, IntRange) and not isinstance(first, int):
                raise ValueError(f"takes real numbers: write {{float: [{low}, {high}]}}")
            return parameter if low < high else Constant(value=first)


@cache
def _adapter(described: type[BaseModel], field: str) -> TypeAdapter[Any]:
    info = described.model_fields[field]
    annotation: Any = info.annotation
    if info.metadata:
        annotation = Annotated[(annotation, *info.metadata)]
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _check_members(branch: Branch, described: type[BaseModel], path: Path) -> list[Problem]:
    tried = 0
    valid: list[Member] = []
    invalid: list[Member] = []
    rules: dict[Problem, None] = {}  # a set in the order of discovery
    for member in members_tried(branch):
        tried += 1
        try:
            described(**member)
            valid.append(member)
        except ValidationError as error:
            invalid.append(member)
            if len(rules) < _MOST_RULES_TOLD:
                rules.update(dict.fromkeys(from_validation_error(error, described, path)))
    if not invalid:
        return []
    missing = [problem for problem in rules if problem.message.endswith("required and not given")]
    if missing:
        return [Problem(path, problem.message) for problem in missing]
    share = f"{len(invalid)} of {tried} combinations are not valid" if tried > 1 else "not valid"
    text = f"{share}: {'; '.join(rule.message for rule in list(rules)[:_MOST_RULES_TOLD])}"
    blamed = _field_to_blame(branch, valid, invalid)
    if blamed is None:
        return [Problem(path, text)]
    good = dict.fromkeys(str(member[blamed]) for member in valid)
    if 0 < len(good) <= _MOST_VALUES_TOLD:
        text += f"; valid in this range: {', '.join(good)}"
    return [Problem((*path, blamed), text)]


def _field_to_blame(branch: Branch, valid: list[Member], invalid: list[Member]) -> str | None:
    """The field whose values alone tell invalid members from valid ones, if there is one."""
    for name in branch:
        good = {member[name] for member in valid}
        if good.isdisjoint(member[name] for member in invalid) and (good or len(branch) == 1):
            return name
    return None


def _ends(values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """The first and last of many values: rules on whole numbers repeat."""
    half = _MOST_VALUES_A_PAIR // 2
    return values if len(values) <= _MOST_VALUES_A_PAIR else (*values[:half], *values[-half:])


def _key(key: object) -> str | int:
    return key if isinstance(key, str | int) else str(key)
