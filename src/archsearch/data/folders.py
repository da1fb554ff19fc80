"""Folders that are written to: locks, and one clear message when they cannot be used."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from archsearch.errors import UnfitError

LOCK_TIMEOUT_SECONDS = 1800.0


@contextlib.contextmanager
def made_once(path: Path, *, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of a file that one process makes while the others wait.

    A killed holder's lock is free at once (the operating system releases it), and its unfinished
    temporary file is removed. Whatever the operating system refuses inside the block, too, becomes
    an `UnfitError` that names the folder.

    Args:
        path: The file to be made; the lock lies beside it.
        timeout_seconds: How long to wait for another process.

    Raises:
        UnfitError: If the folder cannot be written, is full, or the wait is over.
    """
    lock_path = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock_path, timeout=timeout_seconds):
            for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
                leftover.unlink()  # of a holder that was killed: the lock is ours now
            yield
    except Timeout as error:
        raise UnfitError(
            f"{path}: another process has been making this file for {timeout_seconds:.0f} s; "
            f"wait for it or end it (lock: {lock_path})"
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UnfitError(
            f"{path.parent}: cannot be written ({reason}); free some space there, change its "
            "permissions or choose another folder"
        ) from error
