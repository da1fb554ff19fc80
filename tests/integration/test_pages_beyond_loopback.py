"""MLflow's pages are served to other machines with sign-in, known names and origins, or not."""

from __future__ import annotations

import base64
import configparser
import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from archsearch.errors import UsageError
from archsearch.tracking.exposure import PASSWORD_VARIABLE, Exposure, checked_exposure
from tests.cli_support import call_here, environment
from tests.clusters import free_port, outward_address

PASSWORD = "quite-a-long-password"
NAME = "pages.example"


@pytest.mark.parametrize(
    ("hosts", "password", "missing"),
    [
        (None, "", ["--allowed-hosts", "12 characters"]),
        (NAME, "", ["12 characters"]),
        (NAME, "short", ["12 characters"]),
        (None, PASSWORD, ["--allowed-hosts"]),
    ],
)
def test_pages_for_other_machines_are_refused_without_protection(
    hosts: str | None,
    password: str,
    missing: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, password)
    given = [] if hosts is None else ["--allowed-hosts", hosts]
    answer = call_here("ui", "--host", "0.0.0.0", *given, "--runs-dir", tmp_path)
    assert answer.code == 2
    told, _, remedy = answer.err.partition("That needs")[2].partition("tunnel")
    assert [part for part in ("--allowed-hosts", "12 characters") if part in told] == missing
    assert f"pipeline.ui --host 0.0.0.0 --allowed-hosts {hosts or 'NAME'}" in remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["example.com", "", "0.0.0.0/0", "::", "localhost"])
def test_what_is_no_address_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no IPv4 address"):
        checked_exposure(host, NAME, tmp_path)


@pytest.mark.parametrize("names", ["*", "http://pages.example", "a b", "pages.example:5000", "é"])
def test_names_that_would_let_everybody_in_are_refused(names: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no host name"):
        checked_exposure("0.0.0.0", names, tmp_path)


def test_loopback_needs_nothing(tmp_path: Path) -> None:
    assert checked_exposure("127.0.0.1", None, tmp_path).options == []
    assert Exposure().environment(tmp_path, 5000) == {}
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def pages(folder: Path, port: int, *options: str, **env: str) -> Iterator[None]:
    """`pipeline.ui`, ready to answer."""
    command = [sys.executable, "-m", "pipeline.ui", f"--port={port}", *options]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("Ctrl-C" in line for line in process.stdout)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def status_of(url: str, method: str = "GET", **headers: str) -> int:
    """The HTTP status of an answer; a signed-in request says `user="name:password"`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items() if name != "user"}
    if "user" in headers:
        sent["Authorization"] = f"Basic {base64.b64encode(headers['user'].encode()).decode()}"
    body = None if method == "GET" else b'{"max_results": 1}'
    if body:
        sent["Content-Type"] = "application/json"
    try:
        request = urllib.request.Request(url, body, sent, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.slow
def test_other_machines_sign_in_and_foreign_names_and_pages_are_turned_away(
    tmp_path: Path,
) -> None:
    port = free_port()
    options = ("--host", "0.0.0.0", "--allowed-hosts", f"{NAME},{outward_address()}")
    everything_off = {"MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true"}
    password = {PASSWORD_VARIABLE: PASSWORD}
    with pages(tmp_path, port, *options, **password, **everything_off):
        base = f"http://{outward_address()}:{port}"
        search = f"{base}/api/2.0/mlflow/experiments/search"
        runs = f"{search}?max_results=1"
        admin = {"user": f"admin:{PASSWORD}"}
        assert status_of(runs) == 401
        assert status_of(runs, user="admin:wrong-password") == 401
        assert status_of(runs, **admin) == 200
        assert status_of(runs, Host=f"{NAME}:{port}", **admin) == 200
        assert status_of(runs, Host="evil.example", **admin) == 403
        post = (search, "POST")
        assert status_of(*post, Origin=f"http://{NAME}:{port}", **admin) == 200
        assert status_of(*post, Origin="http://evil.example", **admin) == 403
    users = tmp_path / "runs" / "mlflow" / "users.db"
    assert PASSWORD.encode() not in users.read_bytes()
    assert PASSWORD not in (users.parent / "auth.ini").read_text()
    assert not os.path.lexists(tmp_path / "basic_auth.db")  # MLflow's own place for it
    with pages(tmp_path, port, **everything_off):
        local = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search"
        assert status_of(f"{local}?max_results=1") == 200
        assert status_of(f"{local}?max_results=1", Host="evil.example") == 403
        assert status_of(local, "POST", Origin="http://evil.example") == 403


@pytest.mark.parametrize("name", ["plain", "a?b", "100%41", "a#b;c&d", "ü 'x'", "new\nline"])
def test_users_are_kept_below_the_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    told = Exposure("0.0.0.0", ("pages.example",)).environment(folder, 5000)
    settings = configparser.ConfigParser()
    settings.read(told["MLFLOW_AUTH_CONFIG_PATH"])
    users = sa.make_url(settings["mlflow"]["database_uri"])
    assert users.database == str(folder / "users.db")
    assert not users.query
