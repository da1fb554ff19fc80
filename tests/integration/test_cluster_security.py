"""Clusters that anybody could use are refused; those that ask for a token get the right one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from archsearch.engine import security
from archsearch.engine.cluster_probe import ask_cluster
from archsearch.engine.security import admit_cluster, make_token, protect_token
from archsearch.errors import UnfitError
from tests.cli_support import call
from tests.clusters import free_port, ray_head

SEARCH = ("--space", "smoke", "--trials", 1, "--max-epochs", 2, "--confirm", "none")
REFUSED = 3


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a token, and none in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_new_token_is_nobody_elses_from_its_first_moment(home: Path) -> None:
    umask = os.umask(0)
    try:
        make_token()
    finally:
        os.umask(umask)
    token = home / ".ray" / "auth_token"
    assert mode(token) == 0o600
    first = token.read_text()
    assert len(first) == 64
    make_token()
    assert token.read_text() == first
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]


def test_a_token_that_others_can_read_is_closed_and_that_is_said(home: Path) -> None:
    make_token()
    assert protect_token() is None
    token = home / ".ray" / "auth_token"
    token.chmod(0o644)
    assert str(token) in str(protect_token())
    assert mode(token) == 0o600


def test_a_token_that_cannot_be_closed_is_refused(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "shared_token"
    token.write_text("0" * 64)
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)  # root may change anybody's
    with pytest.raises(UnfitError, match=f"others can read.*chmod 600 {token}"):
        protect_token()


@pytest.mark.slow
def test_a_cluster_without_a_token_is_refused_with_what_closes_it(
    tmp_path: Path, home: Path
) -> None:
    port = free_port()
    with ray_head(
        tmp_path / "head.log", f"--ray-client-server-port={port}", RAY_AUTH_MODE="disabled"
    ) as address:
        host = address.partition(":")[0]
        # A client server on loopback may be the end of a tunnel: its cluster counts.
        for given in (address, f"ray://{host}:{port}", f"ray://127.0.0.1:{port}"):
            assert ask_cluster(given, with_token=False).answer == "open"
            with pytest.raises(UnfitError, match=f"beyond loopback .{host}.*get-auth-token"):
                admit_cluster(given)
        make_token()  # having one here closes nothing there
        done = call("search", *SEARCH, "--address", address, cwd=tmp_path)
    assert done.returncode == REFUSED
    assert "asks for no token" in done.stderr
    assert "chmod 600 ~/.ray/auth_token" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").glob("*/search.db"))


@pytest.mark.slow
def test_a_cluster_with_a_token_takes_the_right_one_alone(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    make_token()
    token = home / ".ray" / "auth_token"
    theirs = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token.read_text()}
    with ray_head(tmp_path / "head.log", f"--ray-client-server-port={port}", **theirs) as address:
        client = f"ray://{address.partition(':')[0]}:{port}"

        token.rename(home / "elsewhere")
        for given in (address, client):
            with pytest.raises(UnfitError, match="asks for a token, and there is none here"):
                admit_cluster(given)
        token.write_text("0" * 64)
        for given in (address, client):
            with pytest.raises(UnfitError, match=f"does not take the token in {token}"):
                admit_cluster(given)
        done = call("search", *SEARCH, "--address", address, cwd=tmp_path)
        assert done.returncode == REFUSED
        assert "does not take the token" in done.stderr
        assert "Traceback" not in done.stderr

        (home / "elsewhere").replace(token)
        token.chmod(0o644)
        asked: list[str] = []
        monkeypatch.setattr(
            security, "enable_token_auth", lambda: asked.append("token")
        )  # else this process asks for tokens from now on
        assert "yours alone now" in admit_cluster(address)[0]
        assert admit_cluster(client) == []
        assert asked == ["token"] * 2
        done = call("search", *SEARCH, "--address", address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert theirs["RAY_AUTH_TOKEN"] not in done.stdout + done.stderr
