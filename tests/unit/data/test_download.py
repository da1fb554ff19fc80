from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archsearch.data import DATA_SETS, DataSpec, prepare
from archsearch.data.download import ATTEMPTS, download
from archsearch.data.sources import DataSet, PublishedFile
from archsearch.errors import UnfitError
from tests.unit.data import formats

CONTENT = bytes(range(256)) * 40


class Server:
    """A web server on loopback whose answers a test decides, one by one."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.answer: Callable[[int, str], tuple[int, bytes, int]] = lambda *_: (200, CONTENT, 0)
        handler = type("Handler", (_Handler,), {"server_state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def do_GET(self) -> None:
        state = self.server_state
        state.requests.append(self.path)
        status, content, missing = state.answer(len(state.requests), self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) + missing))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client may have had enough
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    running = Server()
    yield running
    running.close()


def published(server: Server, content: bytes = CONTENT, name: str = "file.bin") -> PublishedFile:
    return PublishedFile(
        name, len(content), hashlib.sha256(content).hexdigest(), f"{server.address}/{name}"
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        path = download(published(server), tmp_path / "downloads")
        assert path.read_bytes() == CONTENT
    assert server.requests == ["/file.bin"]
    assert files_in(tmp_path / "downloads") == ["file.bin"]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((200, CONTENT[:-1] + b"?", 0), id="changed"),
        pytest.param((200, CONTENT[:500], 0), id="short"),
        pytest.param((200, CONTENT[:500], len(CONTENT) - 500), id="connection lost"),
        pytest.param((200, CONTENT + b"more", 0), id="long"),
        pytest.param((503, b"busy", 0), id="server error"),
    ],
)
def test_a_bad_answer_is_tried_again(
    bad: tuple[int, bytes, int], server: Server, tmp_path: Path
) -> None:
    server.answer = lambda count, _: bad if count < ATTEMPTS else (200, CONTENT, 0)
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == ATTEMPTS

    server.requests.clear()
    server.answer = lambda *_: bad
    with pytest.raises(UnfitError, match=r"other\.bin: could not be downloaded \("):
        download(published(server, name="other.bin"), tmp_path)
    assert len(server.requests) == ATTEMPTS
    assert files_in(tmp_path) == ["file.bin"], "nothing half-written is left"


def test_a_server_that_never_ends_is_left_at_the_published_size(
    server: Server, tmp_path: Path
) -> None:
    server.answer = lambda *_: (200, bytes(30_000_000), 0)
    with pytest.raises(UnfitError, match=r"more than 10,240 of 10,240 bytes came"):
        download(published(server), tmp_path)


def test_a_damaged_earlier_download_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"?")
    assert download(published(server), tmp_path).read_bytes() == CONTENT


@pytest.fixture
def served(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Fashion-MNIST as a package-less machine meets it: its small form, on our server."""
    name, files_of = formats.FORMS["fashion_mnist gz"]
    files = files_of(formats.contents_of(name))
    server.answer = lambda _, path: (200, files[path[1:]], 0)
    layout = tuple(published(server, content, file) for file, content in files.items())
    data_set: DataSet = replace(DATA_SETS[name], layouts=(layout,), system_folders=())
    monkeypatch.setitem(DATA_SETS, name, data_set)
    return files


def test_a_data_set_is_downloaded_verified_and_prepared(
    served: dict[str, bytes], server: Server, tmp_path: Path
) -> None:
    spec = DataSpec(name="fashion_mnist")
    prepared = prepare(spec, cache_dir=tmp_path)
    assert sorted(server.requests) == sorted(f"/{name}" for name in served)
    assert prepared.num_test == formats.NUM_TEST
    # Another size needs no second download, not even permission for one.
    prepare(DataSpec(name="fashion_mnist", image_size=8), cache_dir=tmp_path, download=False)
    assert len(server.requests) == len(served)


def test_a_failed_download_says_what_to_do(
    served: dict[str, bytes], server: Server, tmp_path: Path
) -> None:
    server.answer = lambda *_: (404, b"gone", 0)
    with pytest.raises(UnfitError) as refusal:
        prepare(DataSpec(name="fashion_mnist"), cache_dir=tmp_path)
    message = str(refusal.value)
    assert "`fashion_mnist` is not on this machine" in message
    assert "404" in message
    assert "pass --data-dir FOLDER" in message
    assert "apt-get install dataset-fashion-mnist" in message
    assert files_in(tmp_path) == ["downloads"]


@pytest.mark.usefixtures("served")
def test_without_permission_nothing_is_downloaded(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match=r"was not found: .*\(downloads are off\); bring"):
        prepare(DataSpec(name="fashion_mnist"), cache_dir=tmp_path, download=False)
    assert server.requests == []


def test_every_downloadable_file_has_a_size_a_checksum_and_an_address() -> None:
    for data_set in DATA_SETS.values():
        for file in data_set.layouts[0] if data_set.layouts else ():
            assert file.size is not None
            assert file.sha256 is not None
            assert len(file.sha256) == 64
            assert file.url is not None
            assert file.url.endswith(f"/{file.name}")
