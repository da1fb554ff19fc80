"""Attempts at trials: when each was issued, how it ended, and which worker made it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import TypeAdapter

from archsearch.record import tables as t
from archsearch.record.cells import Count, Milliseconds, Whole
from archsearch.record.database import Database
from archsearch.record.messages import SearchStarted
from archsearch.record.outbox import Outbox
from archsearch.storage import StoragePath

# What `engine.worker` logs first: time, process, level, then the attempt and its machine.
_BEGINS = re.compile(rb"^\S+ \S+ (\d+) INFO attempt (\d+) at \S+(?: on (\S+))?$", re.MULTILINE)


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt at a trial.

    Attributes:
        number: The trial.
        attempt: From 1.
        ended: `finished` where the trial got its outcome in it; else what ended it, or None while
            it runs.
        reason: Why it ended.
        created_ms: When it was issued.
    """

    number: Count
    attempt: Whole
    ended: str | None
    reason: str | None
    created_ms: Milliseconds


_ATTEMPT = TypeAdapter(AttemptRecord)


def read_attempts(database: Database, search_id: int) -> list[AttemptRecord]:
    """All attempts of a search, by trial and attempt."""
    columns = t.attempts.c
    query = (
        sa.select(*(columns[f] for f in AttemptRecord.__dataclass_fields__))
        .where(columns.search_id == search_id)
        .order_by(columns.number, columns.attempt)
    )
    with database.read() as connection:
        return [
            database.validated(_ATTEMPT, row, "an attempt")
            for row in connection.execute(query).all()
        ]


def read_code_version(database: Database, search_id: int) -> dict[str, str]:
    """The code that the newest driver ran: release, and commit where known; empty if unknown."""
    last = Outbox(database, search_id).last(SearchStarted.KIND)
    return last.payload.tags if last and isinstance(last.payload, SearchStarted) else {}


def read_earlier_code(database: Database, search_id: int) -> list[dict[str, str]]:
    """The code that each driver ran, oldest first; drivers that did not say are left out."""
    query = (
        sa.select(t.outbox.c.payload)
        .where(t.outbox.c.search_id == search_id, t.outbox.c.kind == "search_started")
        .order_by(t.outbox.c.id)
    )
    with database.read() as connection:
        payloads = list(connection.scalars(query))
    tags = [payload.get("tags") for payload in payloads if isinstance(payload, dict)]
    return [{str(k): str(v) for k, v in each.items()} for each in tags if isinstance(each, dict)]


def workers_in_log(log: StoragePath) -> dict[int, str]:
    """Which worker made which attempt, `host/process` or `process`, as a trial's log tells it.

    Empty where the log is not here: it stays with the files of the search, not in the record.
    """
    try:
        text = log.read()
    except OSError:
        return {}
    return {
        int(attempt): (f"{host.decode(errors='replace')}/" if host else "") + process.decode()
        for process, attempt, host in _BEGINS.findall(text)
    }
