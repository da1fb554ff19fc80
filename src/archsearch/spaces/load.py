"""Space files: found by name or path, read with every problem told at once, written back."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from archsearch.errors import UsageError, nearest_names
from archsearch.spaces.problems import InvalidSpaceError, Problem, from_validation_error
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.yaml_tree import MAX_BYTES, YamlError, plain_value, read_yaml

_SUFFIXES = (".yaml", ".yml")
_MOST_PROBLEMS_TOLD = 40


def load_space(name_or_path: str | Path) -> SearchSpace:
    """The search space of a shipped name, or of a file.

    Args:
        name_or_path: A name of `shipped_spaces()`, or a path (with a folder or a `.yaml` suffix).

    Raises:
        UsageError: There is no such space, or the file breaks rules: one line for each as
            `file:line: path: what is wrong, what was given, what is allowed`.
    """
    name, source, content = _find(name_or_path)
    return parse_space(content, source=source, name=name)


def space_text(name_or_path: str | Path) -> str:
    """The text of a space file as its author wrote it, comments included.

    Raises:
        UsageError: There is no such space, or the file is not text.
    """
    _, source, content = _find(name_or_path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: not UTF-8 text ({error.reason})") from None


def shipped_spaces() -> tuple[str, ...]:
    """The names of the spaces that come with the project, sorted."""
    return tuple(sorted(_shipped()))


def parse_space(content: bytes, *, source: str, name: str = "space") -> SearchSpace:
    """Read a space from the bytes of a file.

    Args:
        content: YAML.
        source: What messages call the file.
        name: The space's name, unless the file gives one.

    Raises:
        UsageError: See `load_space`.
    """
    try:
        tree = read_yaml(content)
    except YamlError as error:
        raise UsageError(f"{source}:{error.line}: {error}") from None
    raw = tree.data
    if isinstance(raw, dict):
        raw = {"name": _legal_name(name)} | raw
    try:
        space, problems = SearchSpace.model_validate(raw), []
    except ValidationError as error:
        space, problems = None, _problems_of(error)
    lines = [*tree.problems, *((tree.line_of(p.path), p.path, p.message) for p in problems)]
    if space is None or lines:
        raise UsageError(_told(lines, source))
    return space


def write_space(space: SearchSpace) -> str:
    """The space as the text of a file that `parse_space` reads back equal.

    Constants and ranges stay on one line; keys stand in the order of the schema.
    """
    raw: dict[str, Any] = space.model_dump(mode="json", exclude_none=True)
    for branch in (*raw["families"].values(), raw["training"]):
        for field, form in branch.items():
            branch[field] = _Flow(form) if isinstance(form, dict) else form
    raw = {key: value for key, value in raw.items() if value not in ({}, [], "")}
    return yaml.dump(raw, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)


def _find(name_or_path: str | Path) -> tuple[str, str, bytes]:
    """Name, how messages call it, and bytes (at most one more than allowed)."""
    text = str(name_or_path)
    shipped = _shipped()
    if text in shipped:
        return text, f"{text}.yaml", shipped[text].read_bytes()
    path = Path(text)
    looks_like_a_path = len(path.parts) > 1 or text.endswith(_SUFFIXES)
    try:
        if path.is_file():
            with path.open("rb") as handle:
                return path.stem, text, handle.read(MAX_BYTES + 1)
        reason = "not a file" if path.exists() else "there is no such file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    known = nearest_names(path.stem[:80], shipped)
    if looks_like_a_path or reason == "not a file":
        raise UsageError(f"space file {text[:200]!r}: {reason}; or by name, {known}")
    raise UsageError(f"unknown space {text[:200]!r}: {known}; or give the path of a file")


def _shipped() -> dict[str, Traversable]:
    folder = files("search_spaces")
    return {
        entry.name.removesuffix(".yaml"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }


def _problems_of(error: ValidationError) -> list[Problem]:
    problems: list[Problem] = []
    for found in error.errors(include_url=False):
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, InvalidSpaceError):
            problems += cause.problems
    return problems or from_validation_error(error, SearchSpace)


def _told(lines: list[tuple[int, tuple[str | int, ...], str]], source: str) -> str:
    ordered = sorted(lines, key=lambda found: found[0])
    told = [f"{source}:{line}: {Problem(path, text)}" for line, path, text in ordered]
    more = len(told) - _MOST_PROBLEMS_TOLD
    return "\n".join(told[:_MOST_PROBLEMS_TOLD] + ([f"… and {more} more"] if more > 0 else []))


def _legal_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-_.")[:64] or "space"


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes parameters on one line, and text so that `read_yaml` reads text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_flow(dumper: yaml.SafeDumper, form: _Flow) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", form.items(), flow_style=True)


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "'" if plain_value(text) != text else None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(_Flow, _write_flow)
_Dumper.add_representer(str, _write_text)
