"""The object store that holds the checkpoints goes away in the middle of a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fault_table import Account, FaultTable
from tests.cli_support import call, start_search
from tests.object_store import ObjectStore, object_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEARCH = (
    "--space", "smoke", "--trials", 3, "--max-epochs", 12, "--name", "stored", "--confirm", "none",
    "--random-share", 1, "--concurrency", 1,
)  # fmt: skip


def trials_of(cwd: Path, store: ObjectStore) -> list[dict[str, Any]]:
    done = call("status", "stored", "--json", cwd=cwd, **store.keys["driver"])
    assert done.returncode == 0, done.stderr
    trials: list[dict[str, Any]] = json.loads(done.stdout)["trials"]
    return trials


def test_a_search_stops_with_the_stores_name_and_goes_on_when_it_is_back(
    tmp_path: Path, faults: FaultTable
) -> None:
    with object_store(tmp_path / "s3", "driver") as store:
        options = (*SEARCH, "--storage", store.uri("searches"))
        with start_search(*options, cwd=tmp_path, **store.keys["driver"]) as running:
            running.wait_for("epoch_finished", 5)
            store.kill()  # and back before a worker gives up
            store.start()
            running.wait_for("epoch_finished", 10)
            store.kill()
            code, errors = running.end()
        assert code == 3, errors
        assert f"127.0.0.1:{store.port}" in errors
        assert "same command again" in errors
        assert "Traceback" not in errors
        store.start()
        before = trials_of(tmp_path, store)
        done = call("search", *options, cwd=tmp_path, **store.keys["driver"])
        assert done.returncode == 0, done.stdout + done.stderr
        after = trials_of(tmp_path, store)

    kept = {trial["number"]: trial for trial in after}
    finished = [trial for trial in before if trial["outcome"] is not None]
    assert finished
    lost = sum(kept[trial["number"]] != trial for trial in finished)
    repeated = sum(trial["epochs_trained"] - trial["epochs"] for trial in after)
    assert (lost, {trial["outcome"] for trial in after}) == (0, {"completed"})
    assert repeated <= 1
    attempts = sum(trial["attempts"] for trial in after)
    faults.add(
        "store-down",
        "SeaweedFS: restarted while the first of three trials trained; for good in the second",
        2,
        "no epoch more for the restart; then exit 3, the store named; with the store it finished",
        Account(len(after), attempts, repeated, lost, 0),
    )
