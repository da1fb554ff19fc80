"""The parts of a raw space, each read even where another one is broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.models import FAMILIES
from archsearch.spaces.baselines import read_baselines
from archsearch.spaces.branches import Branch, read_branch
from archsearch.spaces.problems import Path, Problem, unknown
from archsearch.spaces.recipe import Recipe


def read_parts(raw: Mapping[Any, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Read the branches and baselines of a space.

    Args:
        raw: Top-level keys and their values, as a file has them or already read.

    Returns:
        Those of `families`, `training` and `baselines` that can be read, and everything that is
        wrong with them; broken branches are partial.
    """
    problems: list[Problem] = []
    families: dict[str, Branch] = {}
    parts: dict[str, Any] = {}
    if isinstance(raw.get("families"), Mapping):
        broken = set()
        for family, branch in sorted(raw["families"].items(), key=lambda item: str(item[0])):
            read, found = _read_family(family, branch)
            problems += found
            families[str(family)] = read
            broken |= {str(family)} if found else set()
        parts["families"] = families
        sound = {name: branch for name, branch in families.items() if name not in broken}
        if not families.keys() <= FAMILIES.keys():  # a misspelt family may be any of the others
            broken |= FAMILIES.keys() - sound.keys()
        parts["baselines"], found = read_baselines(raw.get("baselines", ()), sound, broken)
        problems += found
    if "training" in raw:
        parts["training"], found = read_branch(raw["training"], Recipe, ("training",))
        problems += found
    return parts, problems


def _read_family(family: object, branch: object) -> tuple[Branch, list[Problem]]:
    path: Path = ("families", str(family))
    if not isinstance(family, str) or family not in FAMILIES:
        return {}, [Problem(path, unknown(family, FAMILIES, "family"))]
    return read_branch(branch, FAMILIES[family], path)
