"""The doctor sees what would let others in, and says what to do."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from archsearch.doctor.check_result import CheckResult
from archsearch.doctor.checks import examine
from archsearch.doctor.security import security_findings
from archsearch.record.paths import RunsFolder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and none of the switches set."""
    folder = tmp_path / "home"
    (folder / ".ray").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    for name in (
        "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    return folder


def about(name: str, runs: Path) -> list[CheckResult]:
    return [f for f in security_findings(RunsFolder(runs)) if f.about == name]


@pytest.mark.parametrize(
    ("mode", "is_fine"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)]
)
def test_a_token_that_others_can_read(
    mode: int, is_fine: bool, home: Path, tmp_path: Path
) -> None:
    token = home / ".ray" / "auth_token"
    token.write_text("0" * 64)
    token.chmod(mode)
    (found,) = about("Ray's token", tmp_path)
    assert found.advice == (None if is_fine else f"chmod 600 {token}")
    assert "0000" not in found.told


def test_no_token_yet_is_fine(tmp_path: Path) -> None:
    assert about("Ray's token", tmp_path)[0].advice is None


@pytest.mark.parametrize(("mode", "is_fine"), [(0o700, True), (0o775, True), (0o777, False)])
def test_a_runs_folder_that_everybody_can_write(mode: int, is_fine: bool, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    runs.chmod(mode)
    (found,) = about("runs folder's owners", runs)
    assert found.advice == (None if is_fine else f"chmod o-w {runs}")


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("RAY_AUTH_MODE", "disabled", "Ray's authentication"),
        ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true", "pickled models"),
        ("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "true", "MLflow's own protection"),
    ],
)
def test_a_switch_that_takes_protection_away(
    variable: str, value: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert about(name, tmp_path)[0].advice is None
    monkeypatch.setenv(variable, value)
    assert about(name, tmp_path)[0].advice == f"unset {variable}"


@contextlib.contextmanager
def server(folder: Path, host: str, *words: str) -> Iterator[str]:
    """A process that listens, under the name of MLflow's; where."""
    program = folder / "mlflow"
    program.write_text(
        "import socket, sys, time\n"
        "open_at = socket.create_server((sys.argv[2], 0))\n"
        "print(open_at.getsockname()[1], flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program), "server", host, *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"{host}:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("host", "words", "told"),
    [
        ("0.0.0.0", (), "for everybody"),
        ("0.0.0.0", ("--app-name=basic-auth",), "asks who it is"),
        ("127.0.0.1", (), None),
    ],
)
def test_a_server_that_other_machines_reach(
    host: str, words: tuple[str, ...], told: str | None, tmp_path: Path
) -> None:
    with server(tmp_path, host, *words) as address:
        found = [f for f in about("open ports", tmp_path) if address in f.told]
    assert [told in f.told for f in found if told] == [True] * bool(told)
    assert len(found) == (0 if told is None else 1)
    assert all((f.advice is None) is ("asks" in f.told) for f in found)


@pytest.mark.parametrize(
    ("package", "unsafe"), [("ray", "2.55.1"), ("mlflow", "3.17.1"), ("torch", "2.9.1")]
)
def test_a_release_with_known_advisories(
    package: str, unsafe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: unsafe if n == package else version(n))
    (found,) = [f for f in examine(tmp_path / "none") if f.about == package]
    assert found.told == unsafe
    assert "pip install" in str(found.advice)
