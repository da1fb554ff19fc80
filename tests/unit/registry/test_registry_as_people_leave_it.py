"""What a promotion meets in a registry that is older, or that people have changed by hand."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archsearch.errors import UnfitError
from archsearch.record.paths import RunsFolder
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.registry.versions import open_registry
from archsearch.tracking.client import close_client, open_client
from archsearch.tracking.store import TrackingStore, tracking_store

# MLflow and what it is made of warn of their own future.
pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")


@contextlib.contextmanager
def server_of(version: str) -> Iterator[TrackingStore]:
    """A server that says which MLflow it is, and knows nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.path == "/version"
            self.send_response(200 if is_known else 404)
            self.end_headers()
            self.wfile.write(version.encode() if is_known else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield tracking_store(
                RunsFolder(Path("runs")), f"http://127.0.0.1:{server.server_port}"
            )
        finally:
            server.shutdown()
            thread.join()


def test_a_server_without_models_is_refused_with_the_version_that_it_takes() -> None:
    with (
        server_of("2.22.1") as store,
        pytest.raises(UnfitError, match=r"runs MLflow 2\.22\.1.* needs MLflow 3\.0 or newer"),
        open_registry(store, "archsearch-digits"),
    ):
        pass


@pytest.mark.parametrize("version", ["3.0.0", "3.17.2", "<html>a proxy</html>"])
def test_a_server_with_models_or_of_no_known_version_is_asked(version: str) -> None:
    with server_of(version) as store, open_registry(store, "archsearch-digits") as registry:
        assert registry.store is store


def test_an_alias_of_a_version_that_is_gone_is_taken_away_and_can_be_given(
    tmp_path: Path,
) -> None:
    store = tracking_store(RunsFolder(tmp_path / "runs"))
    client = open_client(store)
    client.create_registered_model("m")
    made = client.create_model_version("m", (tmp_path / "files").as_uri())
    assert store.sqlite is not None
    with contextlib.closing(sqlite3.connect(store.sqlite)) as connection:
        columns = [
            row[1] for row in connection.execute("PRAGMA table_info(registered_model_aliases)")
        ]
        values = {"name": "m", "alias": "champion", "version": 99, "workspace": "default"}
        known = [name for name in columns if name in values]
        connection.execute(
            f"INSERT INTO registered_model_aliases ({', '.join(known)}) "
            f"VALUES ({', '.join('?' * len(known))})",
            [values[name] for name in known],
        )
        connection.commit()
    with open_registry(store, "m") as registry:
        assert registry.aliases("m") == {"champion": "99"}
        assert registry.holder("m", "champion") is None
        registry.give(RegisteredVersion.of(made), "champion", before=None)
        holder = registry.holder("m", "champion")
        assert holder is not None
        assert holder.version == "1"
    close_client(client)
