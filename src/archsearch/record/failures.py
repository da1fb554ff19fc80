"""What goes wrong with a record's database, as sentences."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from archsearch.errors import UnfitError

BUSY_SECONDS = 30.0
"""How long a transaction waits for the lock of another one."""

_RESTORE = "restore a copy of the search's folder, or start another search by --name"

_WITHOUT_LOCKS = (
    "SQLITE_PROTOCOL",
    "SQLITE_NOLFS",
    "SQLITE_IOERR_SHM",
    "SQLITE_IOERR_LOCK",
    "SQLITE_IOERR_RDLOCK",
    "SQLITE_IOERR_UNLOCK",
    "SQLITE_IOERR_CHECKRESERVEDLOCK",
)
"""How SQLite's names for what a file system refuses begin."""


class DamagedRecordError(UnfitError):
    """What the record says cannot be true."""


class ConflictError(UnfitError):
    """A row was not written, since it contradicts what the record has."""


def damaged(label: str, what: object) -> DamagedRecordError:
    """What to raise when what the record says cannot be true."""
    return DamagedRecordError(
        f"the record {label} cannot be read ({what}): it is damaged; {_RESTORE}"
    )


@contextmanager
def explained(label: str) -> Iterator[None]:
    """Database errors as sentences; what SQLAlchemy prints would hold values and SQL."""
    try:
        yield
    except OperationalError as error:
        raise _unusable(label, error.orig or error) from error
    except sqlite3.OperationalError as error:
        raise _unusable(label, error) from error
    except IntegrityError as error:
        raise ConflictError(
            f"the record {label} has refused a row that contradicts another one ({error.orig}), "
            "so nothing of it was written: another process may have been faster; run the same "
            "command again"
        ) from error
    except DataError as error:
        raise UnfitError(
            f"the record {label} cannot hold a value ({error.orig}), so nothing of it was written"
        ) from error
    except DBAPIError as error:
        raise damaged(label, error.orig) from error
    except (sqlite3.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise damaged(label, error) from error
    except UnicodeError as error:  # a host's name that none can have
        raise UnfitError(f"the record {label} cannot be used ({error}): check the host") from error


def _unusable(label: str, error: BaseException) -> UnfitError:
    text, kind = str(error), str(getattr(error, "sqlite_errorname", ""))
    if "decode" in text or "no such" in text:
        return damaged(label, "text in it is not UTF-8" if "decode" in text else text)
    advice = "check that it can be reached and written"
    if "locked" in text:
        holder = _users_of(str(Path(label).resolve()))
        advice = (
            f"its lock has been held for {BUSY_SECONDS:.0f} s by {holder}; end that, then "
            "run the same command again"
        )
    elif kind.startswith(_WITHOUT_LOCKS):
        text = f"{text}, {kind}"
        advice = (
            "its file system has no locks or no shared memory, as some network mounts: put it on "
            "a disk of this machine by --runs-dir, or on a server by --database"
        )
    elif "full" in text or "disk I/O" in text:
        advice = "free disk space, then run the same command again: it continues"
    return UnfitError(f"the record {label} cannot be used ({text}): {advice}")


def _users_of(path: str) -> str:
    """The other processes that have a file open, as far as this user may see them."""
    users = []
    for process in psutil.process_iter(["pid", "name"]):
        with suppress(psutil.Error):
            is_other = process.pid != os.getpid()
            if is_other and any(path == opened.path for opened in process.open_files()):
                users.append(f"process {process.pid} ({process.name()})")
    return " or ".join(users) or "another process"
