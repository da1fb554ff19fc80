"""Opening a record, and what its transactions and constraints keep; in a file and on a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from archsearch.errors import UnfitError, UsageError
from archsearch.record import tables as t
from archsearch.record.cells import SearchIdentity
from archsearch.record.database import DamagedRecordError, Database
from archsearch.record.failures import ConflictError
from archsearch.record.messages import SearchEnded
from archsearch.record.reader import find_search, search_names
from archsearch.record.readings import Subject, find_reading, keep_reading
from archsearch.record.requests import is_handled, post_request
from archsearch.record.settings import SearchSettings
from archsearch.record.writer import Writer, create_search
from tests.tracking_support import ENDED, IDENTITY, SETTINGS


@pytest.mark.parametrize("name", ["a b", "a?b", "a%41b", "a#b", "a;b&c", "a'b\"c", "Ö", "x" * 200])
def test_a_path_means_itself(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "search.db"
    database = Database.open(path, create=True)
    identity = SearchIdentity.model_validate(IDENTITY)
    settings = SearchSettings.model_validate(SETTINGS)
    create_search(database, "one", identity=identity, settings=settings, space={})
    database.close()
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("*")] == [
        Path(name), Path(name, "search.db"),
    ]  # fmt: skip
    again = Database.open(path, create=False, read_only=True)
    assert search_names(again) == ["one"]
    again.close()


def test_what_is_missing_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "search.db"
    for read_only in (False, True):
        with pytest.raises(UnfitError, match="there is no record"):
            Database.open(path, create=False, read_only=read_only)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://", "outlives its process"),
        ("sqlite:///:memory:", "outlives its process"),
        ("sqlite:///f?timeout=5", "takes no options"),
        ("mysql://h/d", "the record lives in SQLite or PostgreSQL"),
        ("nothing", "is not a URL"),
    ],
)
def test_a_url_that_names_no_place_for_a_record_is_refused(url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Database.open(url, create=True)


def test_an_empty_database_is_no_record_for_who_reads(record_place: Path | str) -> None:
    if isinstance(record_place, Path):
        record_place.touch()
    with pytest.raises(UnfitError, match="it has no tables"):
        Database.open(record_place, create=False)


def test_of_a_transaction_all_is_kept_or_nothing(database: Database, search_id: int) -> None:
    with contextlib.suppress(RuntimeError), database.write() as connection:
        connection.execute(t.searches.update().values(ending="half"))
        raise RuntimeError
    row = find_search(database, "one")
    assert row is not None
    assert row.ending is None
    assert row.id == search_id


def test_who_reads_sees_one_moment(database: Database, other: Database, search_id: int) -> None:
    query = sa.select(sa.func.count()).select_from(t.requests)
    with database.read() as connection:
        before = connection.scalar(query)
        post_request(other, search_id, "stop")
        assert connection.scalar(query) == before == 0


def search_values(**changes: Any) -> dict[str, Any]:
    values = {"uuid": "u", "name": "two", "identity": {}, "settings": {}, "space": {}}
    return values | {"created_ms": 1} | changes


EPOCH = {"number": 0, "epoch": 1, "attempt": 1, "result": {}, "created_ms": 1}
READING = {
    "number": 0, "checksum": "c", "data_digest": "d", "accuracy": 0.5, "predictions": b"",
    "created_ms": 1,
}  # fmt: skip
ATTEMPT = {"number": 0, "attempt": 1, "created_ms": 1}


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (t.searches, lambda search_id: search_values(name="one")),
        (t.epochs, lambda search_id: {"search_id": search_id, **EPOCH}),
        (t.attempts, lambda search_id: {"search_id": search_id, **ATTEMPT}),
        (t.test_readings, lambda search_id: {"search_id": search_id, **READING}),
        (t.tracking_ids, lambda search_id: {
            "search_id": search_id, "server": "s", "key": "k", "value": "v",
        }),
    ],
    ids=lambda value: getattr(value, "name", ""),
)  # fmt: skip
def test_what_is_there_once_is_refused_the_second_time_and_is_no_damage(
    database: Database,
    search_id: int,
    table: sa.Table,
    values: Callable[[int], dict[str, Any]],
) -> None:
    def add() -> None:
        with database.write() as connection:
            connection.execute(table.insert().values(**values(search_id)))

    if table is not t.searches:
        add()
    with pytest.raises(ConflictError, match="another process may have been faster") as error:
        add()
    assert not isinstance(error.value, DamagedRecordError)


def test_nothing_belongs_to_a_search_that_is_not_there(database: Database) -> None:
    with pytest.raises(ConflictError):
        post_request(database, 77, "stop")


def test_a_reading_keeps_predictions_of_63_labels(database: Database, search_id: int) -> None:
    masks = np.array([0, 1, 2**31, 2**40 + 5, 2**62], np.int64)
    subject = Subject(1, "c" * 64, "d" * 64)
    keep_reading(database, search_id, subject, masks, 0.5)
    found = find_reading(database, search_id, subject)
    assert found is not None
    assert found.predictions.tolist() == masks.tolist()


def test_a_reading_of_the_first_release_is_read(database: Database, search_id: int) -> None:
    classes = np.array([3, -1, 2**31 - 1], "<i4")
    values = READING | {"predictions": classes.tobytes(), "prediction_bytes": 4}
    with database.write() as connection:
        connection.execute(t.test_readings.insert().values(search_id=search_id, **values))
    found = find_reading(database, search_id, Subject(0, "c", "d"))
    assert found is not None
    assert found.predictions.tolist() == classes.tolist()


def test_a_damaged_reading_is_told_as_that(database: Database, search_id: int) -> None:
    values = READING | {"predictions": b"123456789", "prediction_bytes": 8}
    with database.write() as connection:
        connection.execute(t.test_readings.insert().values(search_id=search_id, **values))
    with pytest.raises(DamagedRecordError, match="predictions"):
        find_reading(database, search_id, Subject(0, "c", "d"))


def test_requests_are_taken_in_order_and_once(database: Database, search_id: int) -> None:
    writer = Writer(database, search_id, 0)
    asked = [post_request(database, search_id, kind) for kind in ("pause", "unpause", "stop")]
    assert not is_handled(database, asked[0])
    assert writer.take_requests() == ["pause", "unpause", "stop"]
    assert all(is_handled(database, number) for number in asked)
    assert writer.take_requests() == []


def test_an_event_and_its_message_are_written_together(database: Database, search_id: int) -> None:
    writer = Writer(database, search_id, 0)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE outbox")
    with pytest.raises(UnfitError):
        writer.finish(SearchEnded.model_validate(ENDED))
    row = find_search(database, "one")
    assert row is not None
    assert not row.finished
