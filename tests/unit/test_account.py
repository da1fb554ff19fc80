"""A user id without a name and a home gets both, for what libraries ask."""

from __future__ import annotations

import getpass
import os
import pwd
import stat
from pathlib import Path

import pytest

from archsearch.account import supply_account


def no_such_user(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.fixture
def nameless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of a process whose user id has no entry."""
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", no_such_user)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_home_and_a_name_are_supplied_and_are_the_same_each_time(nameless: Path) -> None:
    supply_account()
    home = Path.home()
    assert home.parent == nameless
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert getpass.getuser() == f"uid-{os.getuid()}"
    del os.environ["HOME"]
    supply_account()
    assert Path.home() == home


def test_a_folder_that_others_may_write_is_no_home(nameless: Path) -> None:
    taken = nameless / f"archsearch-home-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    supply_account()
    assert Path.home() != taken
    assert stat.S_IMODE(Path.home().stat().st_mode) == 0o700


def test_what_is_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    supply_account()
    assert dict(os.environ) == before
