"""`python -m pipeline.status`: how searches stand."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir

app = new_app("Show how searches stand: all of them, or one with its trials.")


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(help="The search; all of them if left out.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how searches stand."""
    from archsearch.record.paths import RunsFolder
    from archsearch.record.status import render, render_overview, search_status

    runs = RunsFolder(runs_dir)
    if name is not None:
        one = search_status(runs, name, database)
        print(json_module.dumps(one.as_json(), indent=2) if json else render(one))
        return
    all_searches = [search_status(runs, each) for each in runs.names()]
    if json:
        print(json_module.dumps([each.as_json() for each in all_searches], indent=2))
    else:
        print(render_overview(all_searches, runs))


if __name__ == "__main__":
    run(app)
