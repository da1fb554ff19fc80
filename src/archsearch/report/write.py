"""Writes a search's report, its summary and its tables into the search's folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archsearch.analysis.recorded_search import RecordedSearch, recorded_search_of
from archsearch.files import write_atomic
from archsearch.record.paths import SearchPaths
from archsearch.report.compose import compose
from archsearch.report.html import report_html
from archsearch.report.markdown import report_markdown
from archsearch.report.opened_search import OpenedSearch
from archsearch.report.tables import write_tables

WATCH_SECONDS = 5
"""How often a watched report is written again, unless writing takes longer than a fifth of it."""


@dataclass(frozen=True)
class WrittenReport:
    """The files of a report, all in the search's folder."""

    page: Path
    summary: Path
    trials: Path
    epochs: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, the page first."""
        return (self.page, self.summary, self.trials, self.epochs)


def write_report(
    recorded: RecordedSearch,
    *,
    folder: Path | None = None,
    reload_seconds: int | None = None,
) -> WrittenReport:
    """Write the report; each file is there whole, or as it was.

    Args:
        recorded: What the search left behind.
        folder: Where it goes, made if need be; None takes the search's own.
        reload_seconds: Let the page reload itself so often; None for one that stays.

    Raises:
        OSError: A file cannot be written.
    """
    report = compose(OpenedSearch(recorded))
    paths = recorded.paths if folder is None else SearchPaths(folder)
    trials, epochs = write_tables(recorded, paths)
    write_atomic(paths.report_summary, report_markdown(report))
    write_atomic(paths.report, report_html(report, reload_seconds=reload_seconds))
    return WrittenReport(paths.report, paths.report_summary, trials, epochs)


def watch_report(
    name: str,
    runs_dir: Path | str = "runs",
    database: str | None = None,
    *,
    folder: Path | None = None,
    on_written: Callable[[WrittenReport, RecordedSearch], None] = lambda written, recorded: None,
    every: float = WATCH_SECONDS,
) -> WrittenReport:
    """Write the report again and again while the search runs, and once when it has ended.

    Args:
        name: The search's name.
        runs_dir: The folder of all searches.
        database: The record's URL, where it is on a server.
        folder: As of `write_report`.
        on_written: Called after each writing.
        every: Seconds from one writing to the next; more where writing takes more than a fifth
            of that, so that watching never takes more than a fifth of a processor.

    Raises:
        UsageError: There is no such search.
        UnfitError: Its record cannot be read.
        OSError: A file cannot be written.
    """
    pause = every
    while True:
        began = time.monotonic()
        recorded = recorded_search_of(name, runs_dir, database)
        is_running = recorded.state == "running"
        written = write_report(
            recorded,
            folder=folder,
            reload_seconds=max(1, round(pause)) if is_running else None,
        )
        on_written(written, recorded)
        if not is_running:
            return written
        pause = max(every, 4 * (time.monotonic() - began))
        time.sleep(pause)
