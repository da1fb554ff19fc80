"""A Ray that starts here finds a folder and a token of its own on machines unlike ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from archsearch.driver.signals import InterruptedSearchError
from archsearch.engine import ray_folder
from archsearch.engine.capacity import check_answers
from archsearch.engine.ray_folder import LONGEST_BYTES, choose_ray_folder, named_folder_problem
from archsearch.engine.security import local_token, token_path
from archsearch.engine.session import _init
from archsearch.errors import UnfitError
from tests.clusters import free_port


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a short name, in which Ray's usual one lies; no variable names another."""
    for variable in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(variable, raising=False)
    folder = Path("/tmp") / f"a{os.getpid()}"
    folder.symlink_to(tmp_path)
    monkeypatch.setattr(ray_folder, "_USUAL", folder)
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture(autouse=True)
def no_link_is_left() -> Any:
    yield
    (Path("/tmp") / f"a{os.getpid()}").unlink(missing_ok=True)


def test_a_folder_that_a_variable_names_is_taken(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / "named").mkdir()
    monkeypatch.setenv("TMPDIR", str(short / "named"))
    assert choose_ray_folder() == (short / "named" / "ray", None)
    (short / "ray's").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(short / "ray's"))  # counts before the other
    assert choose_ray_folder() == (short / "ray's" / "ray", None)
    monkeypatch.chdir(short / "named")
    monkeypatch.setenv("RAY_TMPDIR", ".")
    assert choose_ray_folder()[0].is_absolute()


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [("x" * 60, "too long"), ("missing/folder", "is not there"), ("file/folder", "is not there")],
)
def test_one_that_cannot_be_used_is_named_and_another_is_taken(
    short: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str, problem: str
) -> None:
    (short / ("x" * 60)).mkdir()
    (short / "file").touch()
    monkeypatch.setenv(variable, str(short / name))
    folder, told = choose_ray_folder()
    assert folder == short / "ray"
    assert told is not None
    assert told.startswith(f"{variable} (")
    assert problem in told
    assert str(folder) in told
    assert told.startswith(str(named_folder_problem()))


def test_the_usual_folder_of_another_user_is_left_to_them(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / "ray").touch()  # nothing can be made in it, whoever asks
    folder, told = choose_ray_folder()
    assert folder.parent == short
    assert folder.name.startswith("ray-")
    assert told is None
    assert len(os.fsencode(folder)) <= LONGEST_BYTES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("home", ["/proc", "file/home", None])
def test_without_a_home_that_can_be_written_the_token_is_for_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    if home is None:  # as for a container's user id that /etc/passwd does not know
        monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv("HOME", str(tmp_path / home))
    with local_token():
        path = token_path()
        assert path is not None
        assert len(path.read_text()) == 64
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


def test_a_users_own_token_is_used_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with local_token():
        assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert (tmp_path / ".ray" / "auth_token").is_file()


def test_an_address_where_nothing_listens_is_told_with_what_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.raises(UnfitError, match="which --address names"):
        check_answers(nowhere)
    monkeypatch.setenv("RAY_ADDRESS", nowhere)
    with pytest.raises(UnfitError, match="which the variable RAY_ADDRESS names"):
        check_answers("auto")
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(UnfitError, match="RAY_ADDRESS is 'nonsense': give HOST:PORT"):
        check_answers("auto")


def test_whatever_ray_raises_at_its_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise Exception("The current node timed out during startup.\n  This could happen because")

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(UnfitError) as caught:
        _init("start Ray", address="local")
    assert str(caught.value) == (
        "cannot start Ray: The current node timed out during startup. This could happen because; "
        "the same command tries again"
    )


def test_a_signal_while_ray_starts_is_no_failure_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise InterruptedSearchError(143)

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(InterruptedSearchError):
        _init("start Ray", address="local")
