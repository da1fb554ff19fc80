"""What a file system refuses is told as what it is."""

from __future__ import annotations

import sqlite3

import pytest

from archsearch.errors import UnfitError
from archsearch.record.failures import explained


@pytest.mark.parametrize(
    ("text", "kind", "advice"),
    [
        ("locking protocol", "SQLITE_PROTOCOL", "no locks or no shared memory"),
        ("disk I/O error", "SQLITE_IOERR_SHMMAP", "no locks or no shared memory"),
        ("disk I/O error", "SQLITE_IOERR_SHMOPEN", "no locks or no shared memory"),
        ("disk I/O error", "SQLITE_IOERR_LOCK", "no locks or no shared memory"),
        ("disk I/O error", "SQLITE_IOERR_WRITE", "free disk space"),
        ("database or disk is full", "SQLITE_FULL", "free disk space"),
    ],
)
def test_missing_locks_are_told_apart_from_missing_space(
    text: str, kind: str, advice: str
) -> None:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = kind
    with pytest.raises(UnfitError, match=advice), explained("search.db"):
        raise error
