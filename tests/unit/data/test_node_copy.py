from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from archsearch.data import (
    DataSpec,
    PreparedData,
    data_here,
    load_resident,
    load_test,
    prepare,
    share_data,
)
from archsearch.data.node_copy import data_copy, node_cache
from archsearch.errors import UnfitError
from archsearch.storage import LocalPath, StoragePath, storage_path


@pytest.fixture
def shared(tmp_path: Path) -> tuple[PreparedData, StoragePath]:
    """Data that its driver has shared, and that is nowhere else any more."""
    driver = prepare(DataSpec(name="digits"), cache_dir=tmp_path / "driver")
    storage = LocalPath(tmp_path / "storage")
    assert share_data(driver, storage) == data_copy(storage, driver)
    assert share_data(driver, storage) is None
    Path(driver.path).unlink()
    return driver, storage


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCHSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def files(cache: Path) -> list[Path]:
    return list(cache.glob("*.arrow"))


def test_a_machine_takes_a_copy_once_and_it_is_the_same_data(
    shared: tuple[PreparedData, StoragePath], cache: Path
) -> None:
    driver, storage = shared
    here = data_here(driver, storage)
    (copy,) = files(cache)
    assert here == driver.model_copy(update={"path": str(copy)})
    assert len(load_resident(here).train) == driver.num_train
    assert len(load_test(here)) == driver.num_test
    made = copy.stat().st_mtime_ns
    assert data_here(driver, storage) == here
    assert copy.stat().st_mtime_ns == made


def copied(driver: PreparedData, storage: StoragePath) -> str:
    return data_here(driver, storage).path


def test_of_processes_that_ask_at_once_one_makes_it(
    shared: tuple[PreparedData, StoragePath], cache: Path
) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        paths = pool.starmap(copied, [shared] * 8)
    assert {Path(path) for path in paths} == set(files(cache))
    assert len(files(cache)) == 1


def test_the_drivers_own_file_is_used_where_it_is_seen(tmp_path: Path, cache: Path) -> None:
    driver = prepare(DataSpec(name="digits"), cache_dir=tmp_path / "driver")
    assert data_here(driver, storage_path("mock://box/nothing")) == driver
    assert data_here(driver, None) == driver
    assert files(cache) == []


def test_a_damaged_copy_is_made_again(
    shared: tuple[PreparedData, StoragePath], cache: Path
) -> None:
    driver, storage = shared
    path = Path(data_here(driver, storage).path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert len(load_resident(data_here(driver, storage)).train) == driver.num_train


def test_a_storage_that_holds_something_else_is_told_and_nothing_is_kept(
    shared: tuple[PreparedData, StoragePath], cache: Path
) -> None:
    driver, storage = shared
    copy = data_copy(storage, driver)
    content = bytearray(copy.read())
    content[len(content) // 2] ^= 1
    copy.write(bytes(content))
    with pytest.raises(UnfitError, match=r"is not the data 'digits' that was prepared"):
        data_here(driver, storage)
    copy.remove()
    with pytest.raises(UnfitError, match=r"is gone: start the search again"):
        data_here(driver, storage)
    assert files(cache) == []


def test_without_a_home_that_can_be_written_the_cache_is_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARCHSEARCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert node_cache() == tmp_path / "archsearch"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert node_cache().parent == tmp_path
