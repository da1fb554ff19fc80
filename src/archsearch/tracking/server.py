"""MLflow's own server and pages over a store of this machine; on loopback unless asked."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO

from archsearch.addresses import open_directly, without_proxy_for_loopback
from archsearch.errors import UnfitError
from archsearch.files import FileIdentity, file_identity
from archsearch.redaction import redact
from archsearch.tracking.exposure import LOOPBACK, Exposure
from archsearch.tracking.store import TrackingStore

READY_SECONDS = 120.0
_END_SECONDS = 10.0
_UNPROTECTED = "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"


class TrackingServer:
    """An MLflow server as a child process, for the time of a `with` block.

    Args:
        store: A store of ours, not another server.
        port: Where it listens.
        exposure: On which address.
        folder: Where it keeps its users, if it has any.
    """

    def __init__(self, store: TrackingStore, port: int, exposure: Exposure, folder: Path) -> None:
        self._store = store
        self._port = port
        self._exposure = exposure
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._signal: int | None = None
        self._file: FileIdentity | None = None
        self._handlers: dict[int, signal._HANDLER] = {}

    @property
    def url(self) -> str:
        """Where to point a browser."""
        names = self._exposure.names
        return f"http://{names[0] if names else LOOPBACK}:{self._port}"

    def __enter__(self) -> TrackingServer:
        """Start the server.

        Raises:
            UnfitError: The port is in use, or the store cannot be made.
        """
        _check_port(self._exposure.host, self._port)
        self._store.prepare()
        self._file = None if self._store.sqlite is None else file_identity(self._store.sqlite)
        self._log = tempfile.TemporaryFile()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._on_signal)
        # A group of its own: Ctrl-C reaches us alone, and we end the server with its workers.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *self._options()],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    def _options(self) -> list[str]:
        where = [f"--host={self._exposure.host}", f"--port={self._port}"]
        return [*where, *self._exposure.options]

    def _environment(self) -> dict[str, str]:
        """Options that may hold a secret go where other users of the machine cannot see them."""
        artifacts = self._store.artifacts
        # Would switch off what refuses the requests of foreign web pages.
        ours = {k: v for k, v in os.environ.items() if k != _UNPROTECTED}
        return ours | {
            # Its workers import nothing from the working folder, as this process does.
            "PYTHONSAFEPATH": "1",
            **without_proxy_for_loopback(ours),
            "MLFLOW_BACKEND_STORE_URI": self._store.uri,
            "MLFLOW_REGISTRY_STORE_URI": self._store.uri,
            **({"MLFLOW_ARTIFACTS_DESTINATION": artifacts.as_uri()} if artifacts else {}),
            # Ten job runners of 200 MB each, for features that are not used here.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_WORKERS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            **self._exposure.environment(self._folder, self._port),
        }

    def wait_until_ready(self, timeout: float = READY_SECONDS) -> None:
        """Return when the server answers, or a signal asks to end.

        Raises:
            UnfitError: It ended, or did not answer in time.
        """
        deadline = time.monotonic() + timeout
        health = f"http://{self._exposure.reached_at}:{self._port}/health"
        while self._signal is None:
            if self._running().poll() is not None:
                raise UnfitError(f"MLflow's server ended: {self._last_words()}")
            with contextlib.suppress(OSError):
                if open_directly(health, timeout=2) == 200:
                    return
            if time.monotonic() > deadline:
                raise UnfitError(
                    f"MLflow's server did not answer within {timeout:.0f} s: {self._last_words()}"
                )
            time.sleep(0.2)

    def wait(self) -> int:
        """Serve until a signal comes; the exit code that is due (130 after Ctrl-C).

        Raises:
            UnfitError: The server ended by itself, or serves a store that is no longer there.
        """
        while self._signal is None:
            if self._running().poll() is not None:
                raise UnfitError(f"MLflow's server ended: {self._last_words()}")
            if self._store.sqlite is not None and file_identity(self._store.sqlite) != self._file:
                raise UnfitError(
                    f"the tracking store {self._store.label} was removed or replaced, and these "
                    "pages would go on showing the old one: start them again"
                )
            time.sleep(0.2)
        return 128 + self._signal

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the server and its workers."""
        process = self._running()
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
                break
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._log is not None:
            self._log.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is used outside of its `with` block")
        return self._process

    def _last_words(self) -> str:
        """The last line that the server wrote."""
        assert self._log is not None
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return redact(said[-1])[:300] if said else "it said nothing"


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnfitError(
                f"port {port} of {host} cannot be used ({error.strerror}): end what listens "
                "there, or choose another one by --port"
            ) from error
