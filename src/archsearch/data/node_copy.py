"""Prepared data on machines that do not see the driver's disk: one copy a machine, verified."""

from __future__ import annotations

import os
from pathlib import Path

from archsearch.data.arrow_file import DamagedFileError, verify_arrow
from archsearch.data.folders import made_once
from archsearch.errors import UnfitError
from archsearch.files import user_cache_dir
from archsearch.schema import PreparedData
from archsearch.storage import StoragePath


def data_copy(storage: StoragePath, prepared: PreparedData) -> StoragePath:
    """Where a storage keeps a prepared file; by its digest, so that searches share it."""
    return storage / "data" / f"{prepared.digest}.arrow"


def share_data(prepared: PreparedData, storage: StoragePath) -> StoragePath | None:
    """Put a prepared file into the storage, unless it is there.

    Returns:
        Where it was put now; None if it was there.

    Raises:
        OSError: The storage's folder cannot be written.
        StorageError: The store does not answer, or refuses.
    """
    copy, source = data_copy(storage, prepared), Path(prepared.path)
    if (storage / "data").files().get(copy.name) == source.stat().st_size:
        return None
    copy.publish(source)
    return copy


def data_here(prepared: PreparedData, storage: StoragePath | None) -> PreparedData:
    """Prepared data as a file of this machine: the one that is named, or a copy of it.

    The first process to ask copies it, under a lock, from the storage to this machine's cache;
    the others wait and use it. Every byte of a copy is verified, and its digest is the one that
    was asked for, so it is exactly what the driver prepared.

    Args:
        prepared: As its driver has it.
        storage: Where `share_data` has put it; None if all machines see the driver's file.

    Raises:
        UnfitError: It is not in the storage or not what it should be, or the cache cannot be
            written.
        StorageError: The store does not answer, or refuses.
    """
    if storage is None or _digest_of(Path(prepared.path)) == prepared.digest:
        return prepared
    path = node_cache() / "data" / f"{prepared.name}-{prepared.digest[:24]}.arrow"
    if _digest_of(path) != prepared.digest:
        with made_once(path):
            if _digest_of(path) != prepared.digest:
                _fetch(data_copy(storage, prepared), path, prepared)
    return prepared.model_copy(update={"path": str(path)})


def node_cache() -> Path:
    """Where a machine keeps what can be fetched again: ARCHSEARCH_CACHE, or the user's cache."""
    named = os.environ.get("ARCHSEARCH_CACHE")
    return Path(named).absolute() if named else user_cache_dir()


def _fetch(copy: StoragePath, path: Path, prepared: PreparedData) -> None:
    try:
        copy.fetch(path)
    except FileNotFoundError as error:
        raise UnfitError(
            f"the data {prepared.name!r} is not on this machine, and {copy} is gone: start the "
            "search again, which puts it there"
        ) from error
    if _digest_of(path) != prepared.digest:
        path.unlink()
        raise UnfitError(
            f"{copy} is not the data {prepared.name!r} that was prepared; remove it and start the "
            "search again, which puts it there"
        )


def _digest_of(path: Path) -> str | None:
    """The digest of a whole file; None if it is damaged or not there."""
    try:
        return verify_arrow(path).digest
    except (OSError, DamagedFileError):
        return None
