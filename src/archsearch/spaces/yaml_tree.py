"""YAML as plain data with line numbers, for files that people write and nobody vouches for.

A subset of YAML 1.2's core schema: mappings with text keys, lists, text, numbers, true, false and
null. Aliases, tags, duplicate keys and further documents are refused, as is a file that is large
or deep beyond any sense, so reading takes bounded time and memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from archsearch.spaces.problems import Path

MAX_BYTES = 1_000_000
_MAX_DEPTH = 16
_MAX_NODES = 20_000
_TOO_DEEP = f"nested more than {_MAX_DEPTH} levels deep"
_MAX_DIGITS = 30

# PyYAML's own resolver is YAML 1.1's: there `1e-3` is text, `no` is false and `1:30` is ninety.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}


class YamlError(ValueError):
    """A place that the reader refuses.

    Attributes:
        line: Line in the file, from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass
class YamlTree:
    """What a file says, and where.

    Attributes:
        data: Mappings, lists and scalars.
        lines: Path of keys and indices → line from 1 (of the key, or of the list's item).
        problems: Duplicate keys and keys that are no text, as (line, path, sentence).
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=lambda: {(): 1})
    problems: list[tuple[int, Path, str]] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """The line of a place, or of the nearest one around it that the file has."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_yaml(content: bytes) -> YamlTree:
    """Read one YAML document.

    Raises:
        YamlError: It cannot be read at all (size, encoding, syntax, aliases, tags, depth).
    """
    if len(content) > MAX_BYTES:
        raise YamlError(1, f"more than {MAX_BYTES:,} bytes; a space takes a few hundred")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlError(line, f"not UTF-8 text (byte {error.start}: {error.reason})") from None
    builder = _Builder(text)
    try:
        return builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if mark and _open_brackets(text[: mark.index]) > _MAX_DEPTH:
            raise YamlError(line, _TOO_DEEP) from None
        raise YamlError(line, f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        position = getattr(error, "position", 0)
        reason = str(getattr(error, "reason", error))
        raise YamlError(text.count("\n", 0, position) + 1, f"not YAML: {reason}") from None


class _Builder:
    """Builds the tree from the parser's events, one document's worth."""

    def __init__(self, text: str) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._tree = YamlTree()
        self._nodes = 0

    def document(self) -> YamlTree:
        event = self._next()
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            raise YamlError(1, "the file is empty")
        self._tree.data = self._node(event, ())
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise YamlError(_line(event), "a second document begins here; a file holds one space")
        return self._tree

    def _next(self) -> Any:
        return next(self._events)

    def _node(self, event: Any, path: Path) -> Any:
        self._check(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            place = (*path, len(items))
            self._tree.lines[place] = _line(event)
            items.append(self._node(event, place))
        return items

    def _mapping(self, path: Path) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = _line(event)
            key = self._node(event, (*path, "?"))
            place = (*path, key if isinstance(key, str) else str(key)[:80])
            if not isinstance(key, str):
                self._tell(line, place, "a key must be text")
            elif key in mapping:
                first = self._tree.lines[place]
                self._tell(line, place, f"this key stands twice; first on line {first}")
            self._tree.lines.setdefault(place, line)
            value = self._node(self._next(), place)
            if isinstance(key, str):
                mapping.setdefault(key, value)
        return mapping

    def _tell(self, line: int, place: Path, sentence: str) -> None:
        self._tree.problems.append((line, place, sentence))

    def _check(self, event: Any, path: Path) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise YamlError(_line(event), "anchors and aliases (& and *) are not allowed")
        if event.tag is not None:
            raise YamlError(_line(event), "tags (!) are not allowed; write the value itself")
        if len(path) > _MAX_DEPTH:
            raise YamlError(_line(event), _TOO_DEEP)
        if self._nodes > _MAX_NODES:
            raise YamlError(_line(event), f"more than {_MAX_NODES:,} values")


def plain_value(text: str) -> Any:
    """What unquoted text means: null, a truth value, a number, or the text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS:
        return text
    digits = text.replace("_", "")
    if _INT.fullmatch(text):
        return int(digits)
    if _FLOAT.fullmatch(text):
        return float(digits.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _scalar(event: Any) -> Any:
    is_quoted = not event.implicit[0]
    return event.value if is_quoted else plain_value(event.value)


def _open_brackets(text: str) -> int:
    """How many brackets are open at the end of a text.

    The parser reads ahead, so it may have given up before it told of a level. Brackets in quotes
    and comments count too: this only chooses the sentence for what is refused anyway.
    """
    return sum(map(text.count, "[{")) - sum(map(text.count, "]}"))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
