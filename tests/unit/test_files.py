"""Where files of the user's cache go, whatever their home is like."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from archsearch.errors import UnfitError
from archsearch.files import user_cache_dir
from archsearch.models.weight_files import cache_folder, import_weights


def no_such_user(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files; nothing else names a folder."""
    for name in ("XDG_CACHE_HOME", "HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_the_cache_folder_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_dir() == tmp_path / "archsearch"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache_dir() == tmp_path / ".cache" / "archsearch"


@pytest.mark.parametrize("home", ["/proc", "/dev/null/home"])
def test_a_home_that_cannot_be_written_is_done_without(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    assert user_cache_dir().parent == temporary


def test_a_user_id_without_a_name_and_a_home_has_a_cache(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", no_such_user)
    assert user_cache_dir().parent == temporary
    assert cache_folder().is_relative_to(temporary)
    with pytest.raises(UnfitError, match=r"weights .~/x\.pth. cannot be used"):
        import_weights("~/x.pth")
