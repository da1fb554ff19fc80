"""What a report is made of, whatever it is written as: sections of sentences, tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from archsearch import phrases
from archsearch.objective import Objective
from archsearch.report.figure_style import Figure

Align = Literal["text", "number"]


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, and what its column is sorted by.

    Attributes:
        text: As shown.
        value: A number, or a text, that stands for it in sorting; None sorts last.
    """

    text: str
    value: float | str | None


@dataclass(frozen=True)
class Column:
    """One column's heading, and whether it holds numbers."""

    title: str
    align: Align = "number"


@dataclass(frozen=True)
class Table:
    """A table that its reader can sort.

    Attributes:
        caption: What its rows are.
        columns: Its headings.
        rows: Each of as many cells.
        note: What was left out; empty if nothing was.
        is_folded: Whether it is shown only when asked for.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    is_folded: bool = False


@dataclass(frozen=True)
class Command:
    """A command that can be pasted, and what it does."""

    what: str
    line: str


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
        id: Its anchor.
        title: Its heading.
        sentences: Paragraphs of plain text, in the order in which they are read.
        tables: Shown after the sentences.
        figures: Shown after the tables.
        small_figures: Shown side by side, after the figures.
        commands: Shown last.
    """

    id: str
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    small_figures: tuple[Figure, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Fact:
    """A number that is read at a glance."""

    label: str
    value: str


@dataclass(frozen=True)
class Report:
    """One search's report.

    Attributes:
        name: The search's name.
        question: What its space asks; may be empty.
        state: `running`, `interrupted` or `finished`.
        status: One sentence on where the search stands.
        headline: The verdict, as a person may quote it.
        details: What belongs to the headline: how sure it is, what it rests on.
        facts: The numbers at a glance.
        sections: The rest, in order.
        written: When, for people.
    """

    name: str
    question: str
    state: str
    status: str
    headline: str
    details: tuple[str, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...] = field(default=())
    written: str = ""

    @property
    def figures(self) -> list[Figure]:
        """All figures, in order."""
        return [f for s in self.sections for f in (*s.figures, *s.small_figures)]


def number(value: float | None, form: str = ",.0f") -> Cell:
    """A number as a cell, or a dash."""
    return Cell("–", None) if value is None else Cell(format(value, form), float(value))


def value_cell(value: float | None, objective: Objective) -> Cell:
    """A value of the objective as a cell."""
    return Cell(objective.format(value), value)


def words(text: object) -> Cell:
    """A text as a cell."""
    return Cell(str(text), str(text))


def duration(seconds: float) -> str:
    """A duration as people say it, short ones with a tenth."""
    return f"{seconds:.1f} s" if seconds < 10 else phrases.duration(seconds)


def seconds_cell(seconds: float) -> Cell:
    """A duration as a cell."""
    return Cell(duration(seconds), seconds)


def counted(counts: Sequence[tuple[str, int]]) -> str:
    """`10 completed, 9 stopped`."""
    return ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in counts) or "none"
