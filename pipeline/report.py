"""`python -m pipeline.report NAME`: a search's report as one page, its summary and its tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir, folder
from pipeline._record import SearchName

if TYPE_CHECKING:
    from archsearch.analysis.recorded_search import RecordedSearch
    from archsearch.report.write import WrittenReport

app = new_app(
    "Write a search's report: report.html (one page that opens offline), report.md, "
    "trials.parquet and epochs.parquet, in the search's folder or in --output. Works while the "
    "search runs, and writes nothing to its record. Exit codes: 0 written, 2 no such search, 3 "
    "the record cannot be read or a file cannot be written.",
    "python -m pipeline.report first",
    "python -m pipeline.report first --watch --open",
)


@app.command()
def report(
    name: SearchName,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="FOLDER",
            help="Where the files go, such as for a search in a folder that may only be read; by "
            "default the search's folder.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Write it again every few seconds until the search ends; the page reloads "
            "itself meanwhile.",
        ),
    ] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the web browser.")
    ] = False,
) -> None:
    """Write a search's report."""
    from archsearch.analysis.recorded_search import recorded_search_of
    from archsearch.report.write import watch_report, write_report

    first = True

    def told(written: WrittenReport, recorded: RecordedSearch) -> None:
        nonlocal first
        if first:
            for path in written.paths:
                print(path)
            if open_page:
                typer.launch(written.page.absolute().as_uri())
        if watch:
            trials = recorded.trials
            ended = sum(trial.is_finished for trial in trials)
            print(f"{recorded.state}: {ended} of {len(trials)} trials ended", flush=True)
        first = False

    if watch:
        watch_report(name, runs_dir, database, folder=output, on_written=told)
    else:
        recorded = recorded_search_of(name, runs_dir, database)
        told(write_report(recorded, folder=output), recorded)


if __name__ == "__main__":
    run(app)
