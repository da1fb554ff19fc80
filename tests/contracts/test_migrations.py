"""The chain of revisions: it ends with today's tables, and whatever happens loses no record."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata

from archsearch.errors import UnfitError
from archsearch.files import sha256_of
from archsearch.record import lease, migrations, tables
from archsearch.record.database import Database
from archsearch.record.reader import get_search, read_trials
from archsearch.record.readings import read_readings
from tests.stored_records import STORED, engine_of, open_to_write, put_stored, revision_of, rows_of

OLDEST = STORED[0]


def test_the_chain_is_linear_and_is_the_one_that_a_record_may_have() -> None:
    assert migrations.chain() == tables.REVISIONS
    assert all(len(name) <= 32 for name in tables.REVISIONS)


def condition(index: Any) -> frozenset[str]:
    """Which rows an index has, if not all."""
    options = index.get("dialect_options", {})
    return frozenset(str(value) for key, value in options.items() if key.endswith("_where"))


def shape(connection: sa.Connection) -> dict[str, Any]:
    """Columns, keys and indexes of every table, in no order that a user could see."""
    look = sa.inspect(connection)
    return {
        name: {
            "columns": {
                (c["name"], str(c["type"]), c["nullable"], str(c["default"]).strip("()"))
                for c in look.get_columns(name)
            },
            "primary": look.get_pk_constraint(name)["constrained_columns"],
            "foreign": {str(key["constrained_columns"]) for key in look.get_foreign_keys(name)},
            "unique": {str(key["column_names"]) for key in look.get_unique_constraints(name)},
            "indexes": {
                (i["name"], str(i["column_names"]), i["unique"], condition(i))
                for i in look.get_indexes(name)
            },
        }
        for name in look.get_table_names()
    }


def test_the_chain_and_the_tables_agree(record_place: Path | str) -> None:
    engine = engine_of(record_place)
    with engine.begin() as connection:
        migrations.upgrade(connection, None)
        context = migrations.context_of(connection, compare_type=True, compare_server_default=True)
        assert compare_metadata(context, tables.metadata) == []
        by_chain = shape(connection)
        for table in reversed(tables.metadata.sorted_tables):
            table.drop(connection)
        tables.make_all(connection)
        assert shape(connection) == by_chain


def test_a_record_of_the_first_release_is_migrated_with_all_that_it_holds(
    record_place: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    put_stored(OLDEST, record_place)
    before = rows_of(record_place)
    caplog.set_level(logging.DEBUG)
    database = open_to_write(record_place)
    assert database.migrated is not None
    assert "from the tables of archsearch 0.1" in database.migrated
    assert not [record for record in caplog.records if record.name.startswith("alembic")]
    search = get_search(database, "old")
    assert len(read_trials(database, search.id)) == len(before["trials"])
    assert [len(reading.predictions) for reading in read_readings(database, search.id)] == [359]
    assert lease.acquire(database, search.id) > before["searches"][0][10]  # type: ignore[operator]
    database.close()
    after = rows_of(record_place)
    for row, kept in zip(before["outbox"], after["outbox"], strict=True):
        assert row[:-2] == kept  # its two marks are rows of other tables now
    for name in set(before) - {"versions", "searches", "outbox"}:
        width = len(before[name][0]) if before[name] else 0
        assert [row[:width] for row in after[name]] == before[name]
    assert after["versions"] == [(len(tables.REVISIONS),)]
    again = open_to_write(record_place)
    assert again.migrated is None
    again.close()


def test_a_file_is_copied_beside_it_first(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    put_stored(OLDEST, path)
    before = rows_of(path)
    open_to_write(path).close()
    copy = tmp_path / "search.db.v0_1_tables.backup"
    assert sorted(tmp_path.iterdir()) == [path, copy]
    kept = rows_of(copy)
    assert {name: rows for name, rows in kept.items() if name != "searches"} == {
        name: rows for name, rows in before.items() if name != "searches"
    }


def test_of_two_first_readings_the_earlier_one_stays_the_first(record_place: Path | str) -> None:
    put_stored(OLDEST, record_place)
    with engine_of(record_place).begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO test_readings (id, search_id, number, checksum, data_digest, accuracy, "
            "predictions, forced, created_ms) SELECT id + 1, search_id, number, checksum, "
            "data_digest, 0.5, predictions, forced, created_ms FROM test_readings"
        )
    database = open_to_write(record_place)
    readings = read_readings(database, get_search(database, "old").id)
    database.close()
    assert [reading.forced for reading in readings] == [False, True]
    assert readings[1].accuracy == 0.5


def _migrate_until(place: Path | str, words: str) -> None:
    """Migrate, and be killed after the statement that has these words."""

    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def _kill(_a: Any, _b: Any, statement: str, *_c: Any) -> None:
        if words in statement:
            os.kill(os.getpid(), signal.SIGKILL)

    open_to_write(place)


@pytest.mark.parametrize(
    "words", ["ADD COLUMN", "CREATE UNIQUE INDEX", "INSERT INTO schema_revision"]
)
def test_a_killed_migration_leaves_the_old_record_usable(
    record_place: Path | str, words: str
) -> None:
    put_stored(OLDEST, record_place)
    before = rows_of(record_place)
    process = multiprocessing.get_context("spawn").Process(
        target=_migrate_until, args=(record_place, words)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    now = rows_of(record_place)
    assert revision_of(record_place) is None
    assert {name: rows for name, rows in now.items() if name != "searches"} == {
        name: rows for name, rows in before.items() if name != "searches"
    }
    database = open_to_write(record_place)
    assert database.migrated is not None
    database.close()


def test_nothing_is_migrated_while_a_driver_runs_one_of_its_searches(
    record_place: Path | str,
) -> None:
    put_stored(OLDEST, record_place)
    with engine_of(record_place).begin() as connection:
        connection.execute(tables.searches.update().values(holder=lease.this_process(), token=7))

    def beat() -> None:  # as the driver that is being watched does
        with engine_of(record_place).begin() as connection:
            connection.execute(
                tables.searches.update().values(heartbeat=tables.searches.c.heartbeat + 1)
            )

    lease_sleep = pytest.MonkeyPatch()
    lease_sleep.setattr(lease.acquire, "__kwdefaults__", _watched_by(beat))
    try:
        with pytest.raises(
            lease.HeldError, match=f"'old' .* is being run by process {os.getpid()}"
        ):
            open_to_write(record_place)
    finally:
        lease_sleep.undo()
    assert revision_of(record_place) is None


def _watched_by(beat: Any) -> dict[str, Any]:
    assert lease.acquire.__kwdefaults__ is not None
    return lease.acquire.__kwdefaults__ | {"sleep": lambda seconds: beat()}


def bytes_of(place: Path | str) -> str | None:
    return sha256_of(place) if isinstance(place, Path) else None


def test_a_command_that_only_reads_looks_at_a_copy(record_place: Path | str) -> None:
    put_stored(OLDEST, record_place)
    rows = rows_of(record_place)
    digest = bytes_of(record_place)
    database = Database.open(record_place, create=False, read_only=True)
    search = get_search(database, "old")
    assert len(read_trials(database, search.id)) == len(rows["trials"])
    assert len(read_readings(database, search.id)) == 1
    assert not lease.is_live(database, search.id)
    database.close()
    assert rows_of(record_place) == rows
    assert bytes_of(record_place) == digest
    if isinstance(record_place, Path):
        assert list(record_place.parent.iterdir()) == [record_place]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_record_is_refused_with_the_release_that_reads_it(
    record_place: Path | str, *, read_only: bool
) -> None:
    open_to_write(record_place).close()
    with engine_of(record_place).begin() as connection:
        connection.execute(tables.versions.update().values(version=99))
        connection.execute(tables.schema_revision.update().values(version_num="v7_3_later"))
    with pytest.raises(
        UnfitError, match=r"which archsearch 7\.3 wrote; .* use the release that wrote it"
    ):
        Database.open(record_place, create=False, read_only=read_only)


def test_a_driver_does_not_begin_in_tables_that_it_does_not_know(
    record_place: Path | str,
) -> None:
    """A newer release may migrate a record after an older one has opened it."""
    put_stored(OLDEST, record_place)
    database = open_to_write(record_place)
    search_id = get_search(database, "old").id
    with engine_of(record_place).begin() as connection:
        connection.execute(tables.versions.update().values(version=99))
    with pytest.raises(UnfitError, match=r"has migrated the record .* just now"):
        lease.acquire(database, search_id)
    database.close()


def test_the_release_of_these_tables_has_a_stored_search() -> None:
    """Until it is out, its tables may still change."""
    released = max(tuple(map(int, stored.name.split("."))) for stored in STORED)
    major, minor, *_ = map(int, version("archsearch").split("."))
    assert released[:2] >= (major, minor)
