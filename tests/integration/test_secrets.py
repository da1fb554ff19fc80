"""Secrets that a user's environment holds reach no file, no output and no process listing."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli_support import call, start_search

pytestmark = pytest.mark.slow

SECRET = "pl4nted-s3cret"
NAMES = (
    "ARCHSEARCH_UNKNOWN_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MY_API_TOKEN",
    "PGPASSWORD",
    "RAY_AUTH_TOKEN",
)


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where Ray keeps its own logs; short, for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="as-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def command_lines(pid: int) -> list[str]:
    """What `ps` shows everybody of a process and all below it."""
    lines = []
    for process in (top := psutil.Process(pid), *top.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


def files_with(secret: str, folder: Path) -> list[str]:
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


def test_planted_secrets_stay_in_the_environment(tmp_path: Path, ray_folder: Path) -> None:
    planted = {name: f"{SECRET}-{name}" for name in NAMES}
    environment = planted | {
        "MLFLOW_TRACKING_URI": f"http://ann:{SECRET}-uri@127.0.0.1:9/?token={SECRET}-query",
        "MLFLOW_TRACKING_USERNAME": "ann",
        "RAY_TMPDIR": str(ray_folder),
    }
    options = ("--space", "smoke", "--trials", 2, "--concurrency", 2, "--name", "kept")
    with start_search(*options, "--confirm", "none", cwd=tmp_path, **environment) as search:
        told = search.wait_for("epoch_finished", 1)
        lines = command_lines(search.process.pid)
        assert search.process.stdout is not None
        rest = search.process.stdout.read()
        code, errors = search.end()
    assert code == 0, errors
    # Driver, GCS, raylet and worker at least: else nothing was looked at.
    assert len(lines) > 5
    assert [line for line in lines if SECRET in line] == []
    assert SECRET not in f"{told}{rest}{errors}"
    outputs = [
        call(*command, cwd=tmp_path, **environment)
        for command in (("status", "kept", "--json"), ("doctor",), ("report", "kept"))
    ]
    assert [done.args for done in outputs if SECRET in done.stdout + done.stderr] == []
    assert len(list(ray_folder.rglob("*.log"))) > 3
    assert files_with(SECRET, ray_folder) == []
    assert len(list((tmp_path / "runs").rglob("*"))) > 10
    assert files_with(SECRET, tmp_path) == []
