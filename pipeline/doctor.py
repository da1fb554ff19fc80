"""`python -m pipeline.doctor`: is this machine fit for searches?"""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline._main import new_app, run
from pipeline._options import RunsDir, TrackingUri

app = new_app(
    "Look at what searches need: versions, devices, memory, disk, stored searches, tracking, "
    "security. Each line is fine or says what to do. Exit codes: 0 all fine, 3 something is not."
)


@app.command()
def doctor(
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look at what searches need."""
    from archsearch.doctor.checks import examine

    results = examine(runs_dir, tracking_uri)
    if json:
        print(json_module.dumps([vars(result) for result in results], indent=2))
    else:
        for result in results:
            mark = "ok " if result.advice is None else "FIX"
            print(f"{mark} {result.about}: {result.told}")
            if result.advice is not None:
                print(f"    {result.advice}")
    sys.exit(0 if all(result.advice is None for result in results) else 3)


if __name__ == "__main__":
    run(app)
