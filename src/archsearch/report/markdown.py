"""Writes a report as Markdown: the sentences and the tables, for mails, notes and reviews."""

from __future__ import annotations

import re

from archsearch.redaction import redact
from archsearch.report.parts import Report, Section, Table

MAX_ROWS = 20
"""Rows of a table at most; the page and the Parquet files have all."""

# What Markdown, or the HTML that it lets through, would read as markup.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")


def report_markdown(report: Report) -> str:
    """The report without its figures; every text escaped, and without secrets."""
    lines = [f"# {_escaped(report.name)}", ""]
    if report.question:
        lines += [f"*{_escaped(report.question)}*", ""]
    lines += [f"**{_escaped(report.headline)}**", ""]
    lines += [f"- {_escaped(detail)}" for detail in report.details]
    lines += ["", f"{_escaped(report.status)} Written {report.written}.", ""]
    lines += [f"- {_escaped(fact.label)}: {_escaped(fact.value)}" for fact in report.facts]
    for section in report.sections:
        lines += _section(section)
    return redact("\n".join(lines)).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    tables = [table for table in section.tables if not table.is_folded and table.rows]
    if not (section.sentences or tables or section.commands):
        return []
    lines = ["", f"## {_escaped(section.title)}", ""]
    for sentence in section.sentences:
        lines += [_escaped(sentence), ""]
    for table in tables:
        lines += _table(table)
    for command in section.commands:
        lines += [f"{_escaped(command.what)}:", "", *_code(command.line), ""]
    return lines


def _table(table: Table) -> list[str]:
    rules = ["--:" if column.align == "number" else "---" for column in table.columns]
    lines = [
        f"{_escaped(table.caption)}:",
        "",
        _row([_escaped(column.title) for column in table.columns]),
        _row(rules),
        *(_row([_escaped(cell.text) for cell in row]) for row in table.rows[:MAX_ROWS]),
        "",
    ]
    if len(table.rows) > MAX_ROWS:
        lines += [f"{len(table.rows) - MAX_ROWS} more rows are in `report.html`.", ""]
    return [*lines, _escaped(table.note), ""] if table.note else lines


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(line: str) -> list[str]:
    """A fenced block whose fence is longer than any in the line."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sh", line, fence]
