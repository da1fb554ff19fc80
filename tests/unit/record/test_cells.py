"""A cell of the record is read once, as the type that it must be, whichever release wrote it."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator

import pytest

from archsearch.errors import UnfitError
from archsearch.record.cells import SearchIdentity
from archsearch.record.database import DamagedRecordError
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import PAYLOADS, EpochEnded, SearchEnded, SearchStarted
from archsearch.record.outbox import Message
from archsearch.record.reader import get_search, read_trials
from archsearch.record.settings import SearchSettings
from archsearch.search.request import SearchRequest
from tests.tracking_support import IDENTITY, Recorded, new_record, whole_search


@pytest.fixture
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    record = new_record(tmp_path_factory.mktemp("cells") / "runs")
    whole_search(record)
    yield record
    record.database.close()


def waiting(record: Recorded) -> list[Message]:
    return Deliveries(record.database, record.search.id, "default").waiting()


def change(record: Recorded, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(record.paths.database)) as connection:
        connection.execute(statement)
        connection.commit()


def cell(record: Recorded, query: str) -> dict[str, object]:
    with contextlib.closing(sqlite3.connect(record.paths.database)) as connection:
        told: dict[str, object] = json.loads(connection.execute(query).fetchone()[0])
        return told


def test_what_was_not_finite_is_null_in_the_record_and_nan_out_of_it(record: Recorded) -> None:
    query = "SELECT result FROM epochs WHERE number = 0 AND epoch = 2"
    assert cell(record, query)["val_loss"] is None
    epoch = read_trials(record.database, record.search.id)[0].epochs[1]
    assert math.isnan(epoch.result.val_loss)
    told = [m.payload for m in waiting(record)]
    losses = [
        one.result.val_loss for one in told if isinstance(one, EpochEnded) and one.epoch == 2
    ]
    assert losses
    assert all(math.isnan(loss) for loss in losses)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("searches", "identity"),
        ("searches", "settings"),
        ("trials", "complexity"),
        ("epochs", "result"),
        ("outbox", "payload"),
    ],
)
def test_a_cell_says_its_version_and_a_newer_one_is_not_called_damage(
    record: Recorded, table: str, column: str
) -> None:
    def read() -> None:
        get_search(record.database, "first")
        read_trials(record.database, record.search.id)
        waiting(record)

    assert cell(record, f"SELECT {column} FROM {table}")["version"] == 1
    change(record, f"UPDATE {table} SET {column} = json_remove({column}, '$.version')")
    read()  # as release 0.1.0 has left it
    change(record, f"UPDATE {table} SET {column} = json_set({column}, '$.version', 99)")
    with pytest.raises(UnfitError, match="version 99, which a newer release has written"):
        read()
    change(record, f"UPDATE {table} SET {column} = json_set({column}, '$.version', 'one')")
    with pytest.raises(DamagedRecordError, match="it is damaged"):
        read()
    change(record, f"UPDATE {table} SET {column} = json_remove({column}, '$.version')")
    change(record, f"UPDATE {table} SET {column} = json_set({column}, '$.later', 1)")
    with pytest.raises(UnfitError, match=r"later of .* which a newer release may have written"):
        read()


def test_a_message_of_an_unknown_kind_is_damage(record: Recorded) -> None:
    change(record, "UPDATE outbox SET kind = 'gossip' WHERE id = 1")
    with pytest.raises(DamagedRecordError, match="'gossip'"):
        waiting(record)


def test_every_kind_of_message_has_a_type_of_its_own() -> None:
    assert list(PAYLOADS) == [
        "search_started", "trial_started", "epoch", "trial_ended", "search_ended", "winner_read",
    ]  # fmt: skip


def test_messages_come_back_as_what_was_posted(record: Recorded) -> None:
    told = [message.payload for message in waiting(record)]
    assert isinstance(told[0], SearchStarted)
    assert told[0].identity == SearchIdentity.model_validate(IDENTITY)
    assert isinstance(told[-1], SearchEnded)
    assert told[-1].leaderboard[0].name == "WRN-16-0"


def test_settings_hold_whatever_a_request_can_ask_for() -> None:
    asked = set(SearchRequest.model_fields) - {"database"}
    assert asked <= set(SearchSettings.model_fields)
