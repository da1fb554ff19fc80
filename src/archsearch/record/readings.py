"""Readings of the test split: each candidate's is made once, and kept image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from archsearch.record import tables as t
from archsearch.record.database import Database, now_ms


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


@dataclass(frozen=True, eq=False)
class TestReading:
    """One look at the test split.

    Attributes:
        predictions: (N,) of int32, the predicted class of each image, in the split's order.
        accuracy: Share of right ones, in 0..1.
    """

    __test__ = False  # for pytest: the name is the domain's

    subject: Subject
    predictions: npt.NDArray[np.int32]
    accuracy: float
    created_ms: int


def find_reading(database: Database, search_id: int, subject: Subject) -> TestReading | None:
    """The first reading of that subject, if it was read."""
    with database.read() as connection:
        row = connection.execute(_query(search_id, subject)).first()
    return _reading(subject, row) if row else None


def keep_reading(
    database: Database,
    search_id: int,
    subject: Subject,
    predictions: npt.NDArray[np.integer],
    accuracy: float,
) -> TestReading:
    """Store a reading; if another process was faster, its reading counts and is returned."""
    with database.write() as connection:
        row = connection.execute(_query(search_id, subject)).first()
        if row is None:
            connection.execute(
                t.test_readings.insert().values(
                    search_id=search_id,
                    number=subject.number,
                    checksum=subject.checksum,
                    data_digest=subject.data_digest,
                    accuracy=accuracy,
                    predictions=predictions.astype("<i4").tobytes(),
                    created_ms=now_ms(),
                )
            )
            row = connection.execute(_query(search_id, subject)).first()
    assert row is not None
    return _reading(subject, row)


def _query(search_id: int, subject: Subject) -> sa.Select[tuple[bytes, float, int]]:
    columns = t.test_readings.c
    return (
        sa.select(columns.predictions, columns.accuracy, columns.created_ms)
        .where(
            columns.search_id == search_id,
            columns.number == subject.number,
            columns.checksum == subject.checksum,
            columns.data_digest == subject.data_digest,
        )
        .order_by(columns.id)
        .limit(1)
    )


def _reading(subject: Subject, row: sa.Row[tuple[bytes, float, int]]) -> TestReading:
    predictions = np.frombuffer(row.predictions, dtype="<i4").astype(np.int32)
    return TestReading(subject, predictions, row.accuracy, row.created_ms)
