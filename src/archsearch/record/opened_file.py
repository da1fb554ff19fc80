"""A record's file that stays the one that was opened, and is saved when it does not.

SQLite goes on with a file that was removed, moved away or replaced, and what it writes then is in
no file that anybody finds. So the file is held open, and looked at by its path before each
transaction. It is never opened in any other way: whoever closes a file drops every lock that its
process has on it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from archsearch.errors import UnfitError
from archsearch.record.engines import record_connection, sqlite_connection


class LostRecordError(UnfitError):
    """The record's file is no more the one that was opened."""


class OpenedFile:
    """Holds a record's file and its log open.

    Args:
        path: Of the file; its log lies beside it.
        create: Whether a missing one is made; what was recorded is saved then if it is lost.

    Raises:
        sqlite3.Error: It cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self._path = path.absolute()
        self._saves = create
        self._lock = threading.Lock()
        self._lost: str | None = None
        self._connection = record_connection(path, "rwc" if create else "rw")
        try:  # a look opens the log too
            self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        except BaseException:
            self._connection.close()
            raise
        log = self._path.with_name(f"{path.name}-wal")
        held = (self._path, log) if log.exists() else (self._path,)
        self._opened = {path: _identity(path) for path in held}
        self._size = 0

    def check(self) -> None:
        """See that what is at the path is what is open.

        Raises:
            LostRecordError: It is not; the sentence says what to do, and where a copy is saved.
        """
        with self._lock:
            if self._lost is None:
                what = self._what_happened()
                if what is None:
                    return
                self._lost = f"the record {self._path}{what} while it was in use{self._saved()}"
            raise LostRecordError(self._lost)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _what_happened(self) -> str | None:
        for path, opened in self._opened.items():
            now = _identity(path)
            name = "" if path == self._path else f"'s log {path.name}"
            if now is None:
                return f"{name} was removed or moved away"
            if now != opened:
                return f"{name} was replaced by another file"
        with suppress(OSError):  # removed just now: the next look says so
            size = self._path.stat().st_size
            if size < self._size:
                return f" was cut from {self._size:,} to {size:,} bytes"
            self._size = size
        return None

    def _saved(self) -> str:
        """Save what was recorded, from the file that is still open; the rest of a sentence."""
        if not self._saves:
            return ": put it back, then run the same command again"
        folder = self._path.parent
        name = f"{self._path.name}.saved-{time.strftime('%Y%m%d-%H%M%S')}"
        if not folder.is_dir():
            folder, name = folder.parent, f"{folder.name}-{name}"
        copy = folder / name
        try:
            with closing(sqlite_connection(copy, "rwc")) as target:
                self._connection.backup(target)
                target.execute("UPDATE searches SET holder = NULL")  # nobody runs the copy
                target.execute("PRAGMA journal_mode=DELETE")
                (sound,) = target.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise sqlite3.DatabaseError(sound)
        except (sqlite3.Error, OSError) as error:
            copy.unlink(missing_ok=True)
            return (
                f", and what was open cannot be saved ({error}): restore a copy of the search's "
                "folder, or start another search by --name"
            )
        return (
            f"; what had been recorded is saved in {copy}: move that to {self._path} (or move "
            "back what was moved away), then run the same command again"
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is at a path, of all that there are; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
