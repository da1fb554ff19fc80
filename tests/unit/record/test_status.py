"""Whether a search runs, and which process runs it: told only while that process is there."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.record import lease, tables
from tests.cli_support import call_here
from tests.tracking_support import Recorded, new_record


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    """A search whose lease this process holds."""
    made = new_record(tmp_path / "runs")
    yield made
    made.database.close()


def told(record: Recorded) -> tuple[str | None, str | None, str]:
    """State and driver by `pipeline.status --json`, and the first line for people."""
    line = ("status", "first", "--runs-dir", record.paths.root.parent)
    shown, text = call_here(*line, "--json"), call_here(*line)
    assert (shown.code, text.code) == (0, 0), shown.err + text.err
    found = json.loads(shown.out)
    return found["state"], found["driver"], text.out.partition(";")[0]


def test_the_driver_is_named_while_it_lives_and_only_then(record: Recorded) -> None:
    driver = f"process {os.getpid()} on {socket.gethostname()}"
    assert told(record) == ("running", driver, f"first: running by {driver}")
    dead = lease.this_process() | {"started": "1"}  # its process id belongs to another one now
    with record.database.write() as connection:
        connection.execute(tables.searches.update().values(holder=dead))
    assert told(record) == ("interrupted", None, "first: interrupted")
