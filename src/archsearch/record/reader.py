"""Reading the record; needs no lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection

from archsearch.errors import UsageError, nearest_names
from archsearch.objective import Objective, objective_named
from archsearch.record import tables as t
from archsearch.record.cells import SearchIdentity
from archsearch.record.database import Database
from archsearch.record.trial import EpochRecord, Refusal, SearchRow, TrialRecord


@dataclass(frozen=True)
class _Identity:
    identity: SearchIdentity


Record = TypeVar("Record")

_NAMED = TypeAdapter(dict[str, str])
_SEARCH = TypeAdapter(SearchRow)
_TRIAL = TypeAdapter(TrialRecord)
_IDENTITY = TypeAdapter(_Identity)
_EPOCH = TypeAdapter(EpochRecord)
_TRIALS = TypeAdapter(list[TrialRecord])
_EPOCHS = TypeAdapter(list[EpochRecord])
_REFUSAL = TypeAdapter(Refusal)


def find_search(database: Database, name: str) -> SearchRow | None:
    """The search of that name, or None.

    Raises:
        UnfitError: The record cannot be read, or its row is damaged.
    """
    with database.read() as connection:
        row = connection.execute(
            sa.select(*(t.searches.c[f] for f in SearchRow.__dataclass_fields__)).where(
                t.searches.c.name == name
            )
        ).one_or_none()
    if row is None:
        return None
    return database.validated(_SEARCH, row, f"the search {name!r}")


def get_search(database: Database, name: str) -> SearchRow:
    """The search of that name.

    Raises:
        UsageError: There is none.
    """
    row = find_search(database, name)
    if row is None:
        known = nearest_names(name, search_names(database))
        raise UsageError(f"the record {database.label} has no search {name!r}: {known}")
    return row


def search_names(database: Database) -> list[str]:
    """The searches of one record: a file has one, a server may have many."""
    with database.read() as connection:
        query = sa.select(t.searches.c.name).order_by(t.searches.c.name)
        rows = connection.execute(query)
        return [database.validated(_NAMED, row, "a search")["name"] for row in rows]


def read_trials(database: Database, search_id: int) -> list[TrialRecord]:
    """All trials with their attempts and epochs, by number.

    Raises:
        UnfitError: The record cannot be read, or holds what cannot be true.
    """
    with database.read() as connection:

        def rows(table: sa.Table, *order: str) -> list[sa.Row[Any]]:
            # Results as text: many thousands of them, which are parsed where they are validated.
            columns = (
                (sa.cast(c, sa.Text) if c is t.epochs.c.result else c).label(c.key)
                for c in table.c
            )
            query = sa.select(*columns).where(table.c.search_id == search_id)
            return list(connection.execute(query.order_by(*(table.c[o] for o in order))))

        objective = _objective(database, connection, search_id)
        found = rows(t.trials, "number")
        records = _validated(database, _TRIALS, _TRIAL, found, _which_trial, objective=objective)
        by_number = {record.number: record for record in records}
        try:
            for row in rows(t.attempts, "number", "attempt"):
                by_number[row.number].attempts[row.attempt] = row.ended
            found = rows(t.epochs, "number", "epoch")
            epochs = _validated(database, _EPOCHS, _EPOCH, found, _which_epoch)
            for row, epoch in zip(found, epochs, strict=True):
                by_number[row.number].epochs.append(epoch)
        except KeyError as error:
            raise database.damaged(f"trial {error} is missing") from None
    return records


def _objective(database: Database, connection: Connection, search_id: int) -> Objective:
    """What the search optimises."""
    query = sa.select(t.searches.c.identity).where(t.searches.c.id == search_id)
    found = connection.execute(query).one()
    row = database.validated(_IDENTITY, found, "the search")
    return objective_named(row.identity.objective)


def _which_trial(row: sa.Row[Any]) -> str:
    return f"trial {row.number}"


def _which_epoch(row: sa.Row[Any]) -> str:
    return f"epoch {row.epoch} of trial {row.number}"


def _validated(
    database: Database,
    all_of_them: TypeAdapter[list[Record]],
    one: TypeAdapter[Record],
    rows: Sequence[sa.Row[Any]],
    who: Callable[[sa.Row[Any]], str],
    **known: object,
) -> list[Record]:
    """Many rows at once, which is faster; a damaged one is then looked for by itself.

    Args:
        database: The record.
        all_of_them: The type of the whole list.
        one: The type of each.
        rows: What the record says.
        who: What a row is, for a sentence.
        known: Fields that are the same for all and stand in no row.
    """
    names = (*rows[0]._fields, *known) if rows else ()
    same = tuple(known.values())
    try:
        return all_of_them.validate_python(
            [dict(zip(names, (*row, *same), strict=True)) for row in rows]
        )
    except ValidationError:
        return [database.validated(one, row, who(row), **known) for row in rows]


def read_refusals(database: Database, search_id: int) -> list[Refusal]:
    """All refused draws, in the order in which they were drawn."""
    with database.read() as connection:
        query = (
            sa.select(*(t.refused.c[f] for f in Refusal.__dataclass_fields__))
            .where(t.refused.c.search_id == search_id)
            .order_by(t.refused.c.id)
        )
        return [
            database.validated(_REFUSAL, row, "a refused draw")
            for row in connection.execute(query).all()
        ]
