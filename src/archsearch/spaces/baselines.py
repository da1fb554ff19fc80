"""Published architectures as members of a space."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import BaseModel

from archsearch.errors import UsageError, nearest_names
from archsearch.spaces.branches import Branch, searchable_fields
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.forms import shown, written
from archsearch.spaces.parameters import Scalar
from archsearch.spaces.problems import Problem


def read_baselines(
    raw: object, families: Mapping[str, Branch], broken: Collection[str]
) -> tuple[tuple[str, ...], list[Problem]]:
    """Check that every baseline is a published name and a member of the space.

    Args:
        raw: The names as a file lists them.
        families: The sound branches.
        broken: Families whose branch could not be read; their baselines are not judged.

    Returns:
        The names in the catalogue's own spelling, and everything that is wrong.
    """
    if not isinstance(raw, list | tuple):
        return (), [Problem(("baselines",), f"expected a list of names, got {shown(raw)}")]
    names: list[str] = []
    problems: list[Problem] = []
    for place, given in enumerate(raw):
        try:
            name = _name_of_member(given, families, broken)
            if name in names:
                raise UsageError(f"{name} is listed twice")
            names.append(name)
        except (UsageError, ValueError) as error:
            problems.append(Problem(("baselines", place), str(error)))
    return tuple(names), problems


def architecture_params(described: BaseModel, branch: Branch, prefix: str) -> dict[str, Scalar]:
    """The searched values of a description, by full names.

    Args:
        described: An architecture's spec or a recipe.
        branch: The parameters of the fields that the space mentions.
        prefix: What stands before the slash in the full names.

    Raises:
        UsageError: The description is not a member of the branch; says which fields lie outside.
    """
    plain = described.model_dump(mode="json")
    mentioned = {field: getattr(described, field) for field in branch}
    # Defaults may follow from the fields that the space sets, so they are made, not read.
    left_alone = type(described)(**mentioned)
    params: dict[str, Scalar] = {}
    outside: list[str] = []
    for field in searchable_fields(type(described)):
        if field not in branch:
            default = getattr(left_alone, field)
            if getattr(described, field) != default:
                outside.append(f"{field} is {plain[field]!r}, and the space leaves it {default!r}")
        elif not branch[field].contains(plain[field]):
            outside.append(f"{field} is {plain[field]!r}, outside {written(branch[field])}")
        elif branch[field].is_searched:
            params[f"{prefix}/{field}"] = plain[field]
    if outside:
        raise UsageError(f"not a member of the space: {'; '.join(outside)}")
    return params


def _name_of_member(given: object, families: Mapping[str, Branch], broken: Collection[str]) -> str:
    if not isinstance(given, str):
        raise UsageError(f"a baseline is a published name, got {shown(given)}")
    if given.count("(") != given.count(")"):
        raise UsageError(f"{shown(given)} lacks a bracket: put names with a comma in quotes")
    architecture = parse_name(given)
    if architecture.family in broken:
        return architecture.name
    if architecture.family not in families:
        known = nearest_names(architecture.family, families)
        raise UsageError(f"{given} is of family {architecture.family}, not in the space: {known}")
    try:
        architecture_params(architecture, families[architecture.family], architecture.family)
    except UsageError as error:
        raise UsageError(f"{given} is {error}; widen the space or drop the baseline") from None
    return architecture.name
