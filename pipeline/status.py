"""`python -m pipeline.status`: how searches stand."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from archsearch.errors import UnfitError
from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir

app = new_app(
    "Show how searches stand: all of them, or one with its trials. Exit codes: 0 shown, 2 no "
    "such search, 3 a record cannot be read (the others are shown).",
    "python -m pipeline.status",
    "python -m pipeline.status first --json",
)


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
    from archsearch.analysis.winner import (
        no_better_than_constant,
        standing_json,
        standing_lines,
        standing_of,
    )
    from archsearch.record.paths import RunsFolder
    from archsearch.record.status import all_statuses, render, render_overview, search_status

    runs = RunsFolder(runs_dir)
    if name is not None:
        one = search_status(runs, name, database)
        standing = standing_of(one)
        caution = no_better_than_constant(one.search, one.trials)
        told = one.as_json() | {"caution": caution} | standing_json(*standing)
        first = [] if caution is None else [f"{caution}."]
        text = "\n".join([*first, render(one), *standing_lines(*standing)])
        print(json_module.dumps(told, indent=2) if json else text)
        return
    readable, errors = all_statuses(runs, database)
    if json:
        all_told = [each.as_json() | standing_json(*standing_of(each)) for each in readable]
        print(json_module.dumps(all_told, indent=2))
    elif readable or not errors:
        print(render_overview(readable, runs))
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    sys.exit(UnfitError.exit_code if errors else 0)


if __name__ == "__main__":
    run(app)
