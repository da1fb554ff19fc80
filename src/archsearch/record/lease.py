"""One driver a search: a row that says who holds it, fenced by a token.

No clock is compared between machines. Whoever wants a held lease watches its heartbeat counter
for `STALE_SECONDS` of its own monotonic clock; a holder on the same machine that is known to be
dead is replaced at once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from archsearch.errors import ArchsearchError, UnfitError
from archsearch.record.cells import Count, HolderCell
from archsearch.record.tables import REVISIONS, searches, versions

if TYPE_CHECKING:  # which migrates its tables under the leases
    from archsearch.record.database import Database

HEARTBEAT_SECONDS = 1.0
STALE_SECONDS = 30.0


@dataclass(frozen=True)
class _Lease:
    token: Count
    heartbeat: Count
    holder: HolderCell | None


_LEASE = TypeAdapter(_Lease)
_COLUMNS = tuple(searches.c[name] for name in _Lease.__dataclass_fields__)


class HeldError(UnfitError):
    """Another driver runs this search."""


class FencedError(ArchsearchError):
    """This driver lost its lease while it was away; it must not write any more."""


def this_process() -> dict[str, Any]:
    """Who this process is, in terms that outlast a reused process id."""
    return {
        "host": socket.gethostname(),
        "place": _place(),
        "pid": os.getpid(),
        "started": _process_start(os.getpid()),
    }


def describe(holder: dict[str, Any]) -> str:
    """The holder of a lease, for a sentence."""
    return f"process {holder['pid']} on {holder['host']}"


def known_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder ran where we run, and its process is gone."""
    return bool(holder["place"] == _place() and _process_start(holder["pid"]) != holder["started"])


def known_alive(holder: dict[str, Any]) -> bool:
    """Whether the holder runs where we run, and its process is there."""
    return bool(holder["place"] == _place() and _process_start(holder["pid"]) == holder["started"])


def acquire(
    database: Database,
    search_id: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    stale_seconds: float = STALE_SECONDS,
    version: int = len(REVISIONS),
) -> int:
    """Take the lease; the token that every write of this driver must show.

    Args:
        database: The record.
        search_id: Whose lease.
        clock: Of this machine, in seconds.
        sleep: Waits for so many seconds.
        stale_seconds: After so long a holder whose heart stands still is replaced.
        version: Of the tables that this driver knows, by number.

    Raises:
        HeldError: Its holder lives.
        UnfitError: Another release has migrated the record since it was opened.
    """
    first: tuple[int, int] | None = None
    deadline = clock() + stale_seconds
    while True:
        with database.write() as connection:
            found = connection.execute(_locked(search_id)).one()
            if connection.scalar(sa.select(sa.func.max(versions.c.version))) != version:
                raise UnfitError(
                    f"another release of archsearch has migrated the record {database.label} just "
                    "now; run the same command again"
                )
            row = database.validated(_LEASE, found, "the lease")
            now = (row.token, row.heartbeat)
            if row.holder is None or known_dead(row.holder):
                return _take(connection, search_id, row.token + 1)
            if first is None:
                first = now
            elif now != first:
                raise HeldError(
                    f"this search is being run by {describe(row.holder)}; wait for it, watch it "
                    "by `python -m pipeline.status`, or start another search by --name"
                )
            elif clock() >= deadline:
                return _take(connection, search_id, row.token + 1)
        sleep(HEARTBEAT_SECONDS / 2)


def _locked(search_id: int) -> sa.Select[Any]:
    """The lease, to be looked at and then written by one transaction at a time.

    SQLite has one writer anyway, and no `FOR UPDATE`.
    """
    return sa.select(*_COLUMNS).where(searches.c.id == search_id).with_for_update()


def _take(connection: Connection, search_id: int, token: int) -> int:
    connection.execute(
        searches.update()
        .where(searches.c.id == search_id)
        .values(token=token, heartbeat=searches.c.heartbeat + 1, holder=this_process())
    )
    return token


def check(connection: Connection, search_id: int, token: int) -> None:
    """Refuse the transaction when the lease was taken over.

    Raises:
        FencedError: It was.
    """
    row = connection.execute(_locked(search_id)).one()
    if row.token != token:
        who = describe(row.holder) if row.holder else "another driver"
        raise FencedError(
            f"this driver was away for too long and {who} took the search over; nothing more is "
            "written here"
        )


def beat(database: Database, search_id: int, token: int, seconds: float) -> None:
    """Show that the driver lives, and add `seconds` to the time the search has run.

    Raises:
        FencedError: The lease was taken over.
    """
    with database.write() as connection:
        check(connection, search_id, token)
        connection.execute(
            searches.update()
            .where(searches.c.id == search_id)
            .values(heartbeat=searches.c.heartbeat + 1, seconds=searches.c.seconds + seconds)
        )


def release(database: Database, search_id: int, token: int) -> None:
    """Give the lease back, unless somebody else has it."""
    with database.write() as connection:
        connection.execute(
            searches.update()
            .where(searches.c.id == search_id, searches.c.token == token)
            .values(holder=None)
        )


def is_live(
    database: Database,
    search_id: int,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether a driver runs this search now.

    On the holder's own machine the process is looked up; from elsewhere the heartbeat is
    watched for three of its intervals.
    """

    def look() -> _Lease:
        query = sa.select(*_COLUMNS).where(searches.c.id == search_id)
        with database.read() as connection:
            return database.validated(_LEASE, connection.execute(query).one(), "the lease")

    before = look()
    if before.holder is None or known_dead(before.holder):
        return False
    if known_alive(before.holder):
        return True
    sleep(3 * HEARTBEAT_SECONDS)
    database.renew()
    return look().heartbeat != before.heartbeat


def _place() -> str:
    """What must be equal for two process ids to mean the same: machine, boot, namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = [
        socket.gethostname(),
        boot.read_text().strip() if boot.exists() else f"{psutil.boot_time():.0f}",
        str(namespace.readlink()) if namespace.exists() else "",
    ]
    return "/".join(parts)


def _process_start(pid: int) -> str | None:
    """When a process began, in ticks since boot where the system tells; None when it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return None
