"""Programs that answer over HTTP, started as a user starts them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.cli_support import environment
from tests.clusters import free_port

START_SECONDS = 120.0


@contextlib.contextmanager
def answering(
    command: Sequence[str], path: str, log: Path, cwd: Path | None = None, **env: str
) -> Iterator[str]:
    """Run a command on a free port of loopback until the block ends; its address.

    Args:
        command: The command, which takes `--port`.
        path: Where it answers when it is ready.
        log: A file for what it prints.
        cwd: Where it runs.
        env: More of its environment. The programs beside our Python are found first, as MLflow
            starts uvicorn by its name.
    """
    port = free_port()
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=cwd,
            env=environment(PATH=paths, **env),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}{path}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # this process and its workers
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        else:
            return
