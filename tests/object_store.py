"""A real S3 server on loopback (SeaweedFS), with an identity for each who uses it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clusters import free_port

START_SECONDS = 60.0
BUCKET = "models"


@dataclass
class ObjectStore:
    """Where it listens, and who may use it.

    Attributes:
        folder: Where it keeps its files.
        port: On 127.0.0.1.
        keys: The AWS_* variables of each identity, by its name.
    """

    folder: Path
    port: int
    keys: dict[str, dict[str, str]]
    _command: list[str]
    _server: subprocess.Popen[bytes] | None = None

    def uri(self, prefix: str) -> str:
        """A prefix in its bucket, as `--storage` takes it."""
        return f"s3://{BUCKET}/{prefix}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def start(self) -> None:
        """Start it, with whatever its folder holds, and wait until it answers."""
        log = self.folder / "weed.log"
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder
            )
        _wait_until_it_answers(self.port, self._server, log)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None


@contextlib.contextmanager
def object_store(folder: Path, *identities: str) -> Iterator[ObjectStore]:
    """A server that keeps its files in a folder, for a block."""
    keys = {
        name: {
            "AWS_ACCESS_KEY_ID": f"key-of-{name}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name in identities
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [_identity(n, k) for n, k in keys.items()]}))
    s3, master, volume, filer = _ports(4)
    command = [
        str(Path(sys.executable).with_name("weed")), "server",
        f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        f"-s3.config={config}", f"-s3.port={s3}", f"-master.port={master}",
        f"-volume.port={volume}", f"-filer.port={filer}", "-master.telemetry=false",
        "-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    store = ObjectStore(folder, s3, keys, command)
    try:
        store.start()
        _make_bucket(store, next(iter(keys.values())))
        yield store
    finally:
        store.kill()


def _identity(name: str, keys: dict[str, str]) -> dict[str, object]:
    pair = {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
    return {"name": name, "credentials": [pair], "actions": ["Admin", "Read", "List", "Write"]}


def _ports(count: int) -> list[int]:
    """Free ports whose neighbours 10,000 above, where SeaweedFS has its gRPC, are free too."""
    found: set[int] = set()
    while len(found) < count:
        port = free_port()
        port = port - 10_000 if port > 55_000 else port
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 10_000))
            found.add(port)
    return list(found)


def _wait_until_it_answers(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=1).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, be it with a refusal
        except OSError:
            assert server.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)


def _make_bucket(store: ObjectStore, keys: dict[str, str]) -> None:
    """In a process of its own: Arrow reads the credentials once."""
    code = (
        "import sys, time, pyarrow.fs as fs\n"
        "store = fs.S3FileSystem(\n"
        "    endpoint_override=sys.argv[1], scheme='http', allow_bucket_creation=True)\n"
        "for _ in range(50):\n"
        "    try: store.create_dir(sys.argv[2]); break\n"
        "    except OSError as error: told = error; time.sleep(0.2)\n"
        "else: raise told\n"
    )
    words = [sys.executable, "-c", code, f"127.0.0.1:{store.port}", BUCKET]
    subprocess.run(words, check=True, env={**os.environ, **keys}, timeout=START_SECONDS)
