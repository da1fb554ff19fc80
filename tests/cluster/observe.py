"""Prints what the record and the storage say of a search, for the tests to read.

Runs in a container that reaches PostgreSQL and S3: `python -m tests.cluster.observe NAME`.
"""

from __future__ import annotations

import base64
import os
import pickle
import sys
from pathlib import Path

from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search, read_refusals, read_trials
from tests.chaos.fault_table import Snapshot
from tests.search_support import Recorded


def snapshot_of(name: str) -> Snapshot:
    """As the tests of faults on one machine take it."""
    database = Database.open(os.environ["ARCHSEARCH_DATABASE"], create=False)
    try:
        search = get_search(database, name)
        paths = RunsFolder(Path("runs")).search(name, search.settings.storage)
        trials = read_trials(database, search.id)
        now = Recorded(trials, read_refusals(database, search.id), paths)
    finally:
        database.close()
    counted = paths.epochs_started()
    return Snapshot(now, {t.number: counted.get(t.number, 0) for t in trials})


if __name__ == "__main__":
    print(base64.b64encode(pickle.dumps(snapshot_of(sys.argv[1]))).decode())
