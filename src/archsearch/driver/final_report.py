"""The report that a search leaves at its end; nothing that goes wrong with it hurts the search."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.command_line import command_line
from archsearch.record.database import Database
from archsearch.record.paths import SearchPaths
from archsearch.record.status import State
from archsearch.record.trial import SearchRow, TrialRecord
from archsearch.search.events import Listener, WarningNotice


def write_final_report(
    database: Database,
    search: SearchRow,
    paths: SearchPaths,
    trials: Sequence[TrialRecord],
    listener: Listener,
) -> list[str]:
    """Write the report of a search whose driver is about to end.

    Args:
        database: The record.
        search: The search as it will stand: with its ending.
        paths: Its files.
        trials: Its trials.
        listener: Told, once, if it cannot be written.

    Returns:
        Absolute paths of its files, for tracking; none if it cannot be written.
    """
    try:
        # Plotly, SciPy and Jinja are of no use before.
        from archsearch.analysis.recorded_search import read_recorded_search
        from archsearch.report.write import write_report

        state: State = "finished" if search.finished else "interrupted"
        recorded = read_recorded_search(database, search, paths, state, trials)
        return [str(path.absolute()) for path in write_report(recorded).paths]
    except Exception as error:
        where = [] if paths.database.is_file() else ["--database", "URL"]
        again = command_line("report", search.name, "--runs-dir", paths.root.parent, *where)
        reason = f"{type(error).__name__}: {error}"
        listener(
            WarningNotice(f"the report could not be written ({reason}); to try again: {again}")
        )
        return []
