"""`python -m pipeline.track NAME`: deliver to MLflow what a search could not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir, TrackingUri
from pipeline._record import SearchName, open_record, tracking_uri_of

app = new_app(
    "Deliver to MLflow what a search could not, because tracking was down or slow. What has "
    "arrived before is not sent twice. Exit codes: 0 delivered, 2 no such search, 3 the tracking "
    "server fails or another process delivers now (call it again later).",
    "python -m pipeline.track first",
    "python -m pipeline.track first --tracking-uri http://mlflow.example:5000 --rebuild",
)


@app.command()
def track(
    name: SearchName,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    tracking_uri: TrackingUri = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Send everything from the beginning, e.g. after runs were deleted."
        ),
    ] = False,
) -> None:
    """Deliver what waits, in order."""
    from archsearch.record.deliveries import delivery_states
    from archsearch.record.paths import RunsFolder
    from archsearch.record.status import delivery_lines
    from archsearch.tracking.sender import deliver
    from archsearch.tracking.store import tracking_store

    with open_record(name, runs_dir, database) as (record, search):
        store = tracking_store(RunsFolder(runs_dir), tracking_uri_of(search, tracking_uri))
        delivery = deliver(record, search.id, store, rebuild=rebuild)
        states = delivery_states(record, search.id)
    print(f"{delivery.sent} messages delivered to {store.label}")
    if delivery.parked:
        print(f"{len(delivery.parked)} messages were refused for good; the first one: ", end="")
        print(delivery.parked[0])
    others = [state for state in states if state.destination != store.key]
    for line in delivery_lines(others, name, RunsFolder(runs_dir)):
        print(line)


if __name__ == "__main__":
    run(app)
