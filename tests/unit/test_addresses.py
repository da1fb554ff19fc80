"""No proxy is asked for what this machine serves to itself."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from archsearch.addresses import open_directly, without_proxy_for_loopback


@contextlib.contextmanager
def serving(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(autouse=True)
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every proxy is a server that answers 502."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(502) as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy)
        yield


def test_a_loopback_server_is_asked_directly() -> None:
    with serving(200) as server:
        assert open_directly(server, timeout=5) == 200
        with pytest.raises(urllib.error.HTTPError) as caught:
            # `urlopen` keeps the proxies of its first call in a process.
            urllib.request.build_opener().open(server, timeout=5)
        with caught.value as answer:
            assert answer.code == 502


def test_programs_are_told_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(200) as server:
        assert requests.get(server, timeout=5).status_code == 502
        for name, value in without_proxy_for_loopback({}).items():
            monkeypatch.setenv(name, value)
        assert requests.get(server, timeout=5).status_code == 200
        assert requests.get("http://elsewhere.example/", timeout=5).status_code == 502


def test_what_is_excepted_already_stays_so() -> None:
    told = without_proxy_for_loopback({"NO_PROXY": "intranet.example, 127.0.0.1"})
    assert told["NO_PROXY"] == told["no_proxy"] == "intranet.example,127.0.0.1,localhost,::1"
    assert without_proxy_for_loopback({"no_proxy": "*"}) == {}
