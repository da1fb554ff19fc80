"""Tracking servers beyond loopback are asked whether they let strangers in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.tracking.remote import cautions
from archsearch.tracking.store import TrackingStore, tracking_store
from tests.clusters import free_port, outward_address


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


def store_at(uri: str) -> TrackingStore:
    return tracking_store(RunsFolder(Path("runs")), uri)


@contextlib.contextmanager
def server_that_answers(status: int) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the requests that came."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{outward_address()}:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "told"), [(200, "lets everybody in"), (401, "nobody is named"), (500, None)]
)
def test_a_server_is_asked_as_a_stranger(status: int, told: str | None) -> None:
    with server_that_answers(status) as (address, asked):
        found = cautions(store_at(f"http://{address}"))
    assert [told in sentence for sentence in found if told] == [True] * bool(told)
    assert asked == ["/api/2.0/mlflow/experiments/search?max_results=1 None"]


@pytest.mark.parametrize("how", ["url", "environment"])
def test_a_password_over_plain_http_is_told_and_not_repeated(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_that_answers(200) as (address, asked):
        if how == "environment":
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret-word")
        user = "ann:s3cret-word@" if how == "url" else ""
        (found,) = cautions(store_at(f"http://{user}{address}"))
    assert "in clear" in found
    assert "s3cret" not in found
    assert asked == []


def test_what_is_safe_or_not_there_is_not_told() -> None:
    assert cautions(store_at("http://ann:s3cret-word@127.0.0.1:9")) == []
    assert cautions(store_at("https://ann:s3cret-word@mlflow.invalid")) == []
    assert cautions(store_at(f"http://{outward_address()}:{free_port()}")) == []
    assert cautions(tracking_store(RunsFolder(Path("runs")), None)) == []
