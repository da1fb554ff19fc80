"""A team's MLflow server: a process of its own that asks for a password and keeps the files."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cli_support import environment
from tests.tracking_support import free_port

ADMIN, SECRET = "ann", "correct-horse-battery"

_CONFIGURATION = """\
[mlflow]
default_permission = READ
admin_username = {admin}
admin_password = {secret}
database_uri = sqlite:///{folder}/users.db
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


@dataclass(frozen=True)
class RemoteServer:
    """A server that runs.

    Attributes:
        url: Its address, without a user.
        artifacts: The folder where it keeps what clients send it.
    """

    url: str
    artifacts: Path

    def url_for(self, user: str, password: str) -> str:
        """Its address with who signs in."""
        return self.url.replace("://", f"://{user}:{password}@")

    def add_user(self, name: str, password: str) -> None:
        """Somebody who may read, and make experiments of their own."""
        self._administer("2.0/mlflow/users/create", username=name, password=password)

    def permit(self, name: str, permission: str, experiment_id: str) -> None:
        """Let a user do more with one experiment."""
        self._administer(
            "3.0/mlflow/users/permissions/grant",
            username=name,
            permission=permission,
            resource_type="experiment",
            resource_id=experiment_id,
        )

    def _administer(self, endpoint: str, **fields: str) -> None:
        signed = base64.b64encode(f"{ADMIN}:{SECRET}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/{endpoint}",
            json.dumps(fields).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {signed}"},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=30).close()


@contextlib.contextmanager
def remote_server(folder: Path) -> Iterator[RemoteServer]:
    """`mlflow server --app-name basic-auth` for the time of the block."""
    port = free_port()
    server = RemoteServer(f"http://127.0.0.1:{port}", folder / "artifacts")
    configuration = folder / "auth.ini"
    configuration.write_text(_CONFIGURATION.format(admin=ADMIN, secret=SECRET, folder=folder))
    options = {
        "app-name": "basic-auth",
        "host": "127.0.0.1",
        "port": port,
        "workers": 1,
        "backend-store-uri": f"sqlite:///{folder / 'store.db'}",
        "artifacts-destination": server.artifacts.as_uri(),
    }
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server"]
            + [f"--{name}={value}" for name, value in options.items()],
            env=environment(
                MLFLOW_AUTH_CONFIG_PATH=str(configuration),
                MLFLOW_FLASK_SERVER_SECRET_KEY="for this test alone",
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
                MLFLOW_DISABLE_TELEMETRY="true",
            ),
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not _answers(server.url):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=2) as told:
        return bool(told.status == 200)
    return False
