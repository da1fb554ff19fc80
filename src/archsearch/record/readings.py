"""Readings of the test split: each candidate's is made once, and kept image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from pydantic import Field, TypeAdapter

from archsearch.record import tables as t
from archsearch.record.cells import Count, Digest, Milliseconds
from archsearch.record.database import Database, insert, now_ms


@dataclass(frozen=True)
class Subject:
    """Whose answers, on what: a reading is repeated only for another one of these.

    Attributes:
        number: The trial.
        checksum: SHA-256 of its checkpoint's payload.
        data_digest: Of the data set.
    """

    number: int
    checksum: str
    data_digest: str


@dataclass(frozen=True)
class _Row:
    """A reading as the record has it."""

    number: Count
    checksum: Digest
    data_digest: Digest
    accuracy: Annotated[float, Field(ge=0, le=1)]
    predictions: bytes
    forced: bool
    created_ms: Milliseconds
    prediction_bytes: Literal[4, 8]


_ROW = TypeAdapter(_Row)


@dataclass(frozen=True, eq=False)
class TestReading:
    """One look at the test split.

    Attributes:
        predictions: (N,) of int64, each image's predicted class, or the mask of its predicted
            labels (bit i is class i), in the split's order.
        accuracy: Share of right ones, in 0..1.
        forced: Whether it was read although there was a reading of that subject.
    """

    __test__ = False  # for pytest: the name is the domain's

    subject: Subject
    predictions: npt.NDArray[np.int64]
    accuracy: float
    created_ms: int
    forced: bool = False


def find_reading(database: Database, search_id: int, subject: Subject) -> TestReading | None:
    """The first reading of that subject, if it was read."""
    with database.read() as connection:
        row = connection.execute(_query(search_id, subject)).first()
        return _reading(database, row) if row else None


def read_readings(database: Database, search_id: int) -> list[TestReading]:
    """Every reading of the test split that a search has made, in order, forced ones included."""
    columns = t.test_readings.c
    query = sa.select(t.test_readings).where(columns.search_id == search_id).order_by(columns.id)
    with database.read() as connection:
        return [_reading(database, row) for row in connection.execute(query).all()]


def keep_reading(
    database: Database,
    search_id: int,
    subject: Subject,
    predictions: npt.NDArray[np.integer],
    accuracy: float,
    *,
    force: bool = False,
) -> TestReading:
    """Store a reading; if another process was faster, its reading counts and is returned.

    Args:
        database: The record.
        search_id: Whose model.
        subject: Whose answers, on what.
        predictions: (N,), see `TestReading`.
        accuracy: See there.
        force: Store it beside an earlier one, marked as forced, and return it.
    """
    values = {
        "search_id": search_id,
        **vars(subject),
        "accuracy": accuracy,
        "predictions": predictions.astype("<i8").tobytes(),
        "prediction_bytes": 8,
        "created_ms": now_ms(),
    }
    first = ["search_id", "number", "checksum", "data_digest"]
    with database.write() as connection:
        # Of several processes that read at once, the database lets one be the first.
        query = insert(connection, t.test_readings).values(**values, forced=False)
        is_first = connection.execute(
            query.on_conflict_do_nothing(
                index_elements=first, index_where=sa.text("NOT forced")
            ).returning(t.test_readings.c.id)
        ).first()
        if force and is_first is None:
            query = insert(connection, t.test_readings).values(**values, forced=True)
            row = connection.execute(query.returning(t.test_readings)).one()
        else:
            row = connection.execute(_query(search_id, subject)).one()
    return _reading(database, row)


def _query(search_id: int, subject: Subject) -> sa.Select[Any]:
    columns = t.test_readings.c
    return sa.select(t.test_readings).where(
        columns.search_id == search_id,
        columns.number == subject.number,
        columns.checksum == subject.checksum,
        columns.data_digest == subject.data_digest,
        ~columns.forced,
    )


def _reading(database: Database, found: sa.Row[Any]) -> TestReading:
    row = database.validated(_ROW, found, "a reading of the test split")
    if len(row.predictions) % row.prediction_bytes:
        raise database.damaged("predictions of a reading of the test split are none")
    stored = np.frombuffer(row.predictions, dtype=f"<i{row.prediction_bytes}")
    predictions = stored.astype(np.int64)
    subject = Subject(row.number, row.checksum, row.data_digest)
    return TestReading(subject, predictions, row.accuracy, row.created_ms, row.forced)
