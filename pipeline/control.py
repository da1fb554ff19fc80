"""`python -m pipeline.control NAME WHAT`: steer a running search from another terminal."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir
from pipeline._record import SearchName, open_record

app = new_app(
    "Steer a running search from another terminal. `pause`: running trials finish their epoch, "
    "then all wait; `unpause`: they go on; `stop`: no new trial or confirm run, running ones are "
    "trained to their end; `cancel`: end now. A search that was stopped or cancelled continues "
    "with its own command. Exit codes: 0 the driver has taken it, 2 no such search, 3 it is not "
    "running."
)


class What(StrEnum):
    """What can be asked of a driver."""

    pause = "pause"
    unpause = "unpause"
    stop = "stop"
    cancel = "cancel"


@app.command()
def control(
    name: SearchName,
    what: Annotated[What, typer.Argument(help="What the driver shall do.")],
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
) -> None:
    """Steer a running search."""
    from archsearch.errors import UnfitError
    from archsearch.record.lease import is_live
    from archsearch.record.requests import is_handled, post_request

    with open_record(name, runs_dir, database) as (record, search):
        if not is_live(record, search.id):
            raise UnfitError(
                f"the search {name!r} is not running; see `python -m pipeline.status {name}`"
            )
        request_id = post_request(record, search.id, what.value)
        deadline = time.monotonic() + 30
        while not is_handled(record, request_id):
            if time.monotonic() > deadline:
                raise UnfitError(
                    f"the driver of {name!r} has not taken the request in 30 s; it will when it "
                    f"wakes up: see `python -m pipeline.status {name}`"
                )
            time.sleep(0.2)
    print(f"{name}: {what.value} is taken")


if __name__ == "__main__":
    run(app)
