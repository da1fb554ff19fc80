from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from archsearch.data.folders import made_once
from archsearch.errors import UnfitError


def test_a_holder_that_never_ends_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.arrow"
    with (
        FileLock(tmp_path / ".data.arrow.lock"),
        pytest.raises(UnfitError, match=r"data\.arrow: another process has been making this"),
        made_once(path, timeout_seconds=0.1),
    ):
        pytest.fail("the lock is held")


def test_leftovers_of_a_killed_holder_are_removed_and_no_others(tmp_path: Path) -> None:
    for name in (".a[1].arrow.12ab.tmp", ".b.arrow.12ab.tmp", "a[1].arrow.txt"):
        (tmp_path / name).touch()
    with made_once(tmp_path / "a[1].arrow"):
        pass
    left = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")}
    assert left == {".b.arrow.12ab.tmp", "a[1].arrow.txt"}


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), made_once(tmp_path / "x", timeout_seconds=1):
            raise RuntimeError("the block failed")
