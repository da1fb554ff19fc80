"""Ray clusters on this machine that listen as real ones do: beyond loopback."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from archsearch.engine.security import make_token
from tests.cli_support import environment

START_SECONDS = 90.0


@contextlib.contextmanager
def tokens_required() -> Iterator[None]:
    """Ray processes that start in this block, this one included, ask for this user's token."""
    config: Any = importlib.import_module("ray._raylet").Config
    before = os.environ.get("RAY_AUTH_MODE")
    make_token()
    os.environ["RAY_AUTH_MODE"] = "token"
    config.initialize("")  # or a Ray that was used before stays as it was
    try:
        yield
    finally:
        if before is None:
            del os.environ["RAY_AUTH_MODE"]
        else:
            os.environ["RAY_AUTH_MODE"] = before
        config.initialize("")


@contextlib.contextmanager
def ray_head(log: Path, *options: str, **env: str) -> Iterator[str]:
    """A head as `ray start --head` starts it; its address.

    Args:
        log: The file of its output.
        options: More options of `ray start`.
        env: Environment variables, such as `RAY_AUTH_MODE` and the `HOME` of its token.
    """
    host, port = outward_address(), free_port()
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
        f"--node-ip-address={host}", f"--port={port}", "--num-cpus=2",
        "--min-worker-port=0", "--max-worker-port=0", "--include-dashboard=false",
        "--object-store-memory=100000000", "--disable-usage-stats", *options,
    ]  # fmt: skip
    with log.open("wb") as output:
        head = subprocess.Popen(
            command, env=environment(**env), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in log.read_text(errors="replace"):
            assert head.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        yield f"{host}:{port}"
    finally:
        family = psutil.Process(head.pid).children(recursive=True)
        head.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(15)
        for process in family:
            with contextlib.suppress(psutil.Error, OSError):
                process.kill()
        head.kill()
        head.wait()


def outward_address() -> str:
    """An address of this machine that others could reach; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found: str = probe.getsockname()[0]
        except OSError:
            found = socket.gethostbyname(socket.gethostname())
    return found


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port
