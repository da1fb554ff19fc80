"""`python -m pipeline.ui`: browse all searches in MLflow's own pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline._main import new_app, run
from pipeline._options import RunsDir, TrackingUri

app = new_app(
    "Browse all searches in MLflow's pages, served on 127.0.0.1 until Ctrl-C. Other machines "
    "reach them only with a password and the names that they may use. Exit codes: 130 after "
    "Ctrl-C, 2 a wrong option or a missing protection, 3 the port is in use or the server fails.",
    "python -m pipeline.ui",
    "python -m pipeline.ui --port 8080 --runs-dir /data/runs",
)


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 5000,
    host: Annotated[
        str,
        typer.Option(
            help="The address of this machine to listen on. Beyond 127.0.0.1 it needs "
            "--allowed-hosts, and MLFLOW_AUTH_ADMIN_PASSWORD for its user `admin`."
        ),
    ] = "127.0.0.1",
    allowed_hosts: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Host names that others call it by, with commas."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Serve the tracking store of all searches."""
    from archsearch.record.paths import RunsFolder
    from archsearch.tracking.client import open_client
    from archsearch.tracking.exposure import checked_exposure
    from archsearch.tracking.server import TrackingServer
    from archsearch.tracking.store import tracking_store
    from archsearch.tracking.views import view_links

    runs = RunsFolder(runs_dir)
    store = tracking_store(runs, tracking_uri)
    if store.is_server:
        print(f"searches are tracked by a server that has its own pages: {store.label}")
        return
    exposure = checked_exposure(host, allowed_hosts, runs.mlflow)
    if not exposure.is_loopback:
        print(
            "Passwords cross the network in clear: put TLS in front of it where that matters.",
            file=sys.stderr,
        )
    with TrackingServer(store, port, exposure, runs.mlflow) as server:
        print(f"MLflow on {store.label} starts …", flush=True)
        server.wait_until_ready()
        print(f"{server.url} (Ctrl-C ends it)", flush=True)
        print("\n".join(view_links(open_client(store), server.url)), flush=True)
        sys.exit(server.wait())


if __name__ == "__main__":
    run(app)
