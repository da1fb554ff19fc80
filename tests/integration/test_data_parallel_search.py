"""Trials of several workers as users run them: Ray Train inside Ray Tune, real kills."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from archsearch.record.database import Database
from archsearch.record.reader import get_search, read_trials
from archsearch.record.trial import TrialRecord
from tests.cli_support import call, start_search, status

SEARCH = (
    "--space", "smoke", "--trials", 3, "--name", "shared", "--confirm", "none",
    "--concurrency", 1,
)  # fmt: skip


@pytest.mark.slow
def test_trials_of_two_workers_survive_a_killed_worker_and_go_on_with_one(tmp_path: Path) -> None:
    with start_search(*SEARCH, "--workers-per-trial", 2, cwd=tmp_path) as search:
        events = search.wait_for("epoch_finished")
        said = [event["text"] for event in events if event["event"] == "said"]
        assert "Each trial is trained by 2 workers, which share its batches." in said
        assert _listening_beyond_loopback(search.process.pid) == []
        workers = _workers_of(search.process.pid)
        assert len(workers) == 2
        os.kill(workers[1], signal.SIGKILL)  # their numbers follow from their starts
        warned = [event for event in search.wait_for("warned") if event["event"] == "warned"]
        assert "lost its worker" in warned[-1]["text"]
        search.wait_for("epoch_finished")
        search.process.kill()
    done = call("search", *SEARCH, "--workers-per-trial", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = status(tmp_path, "shared")
    assert answer["state"] == "finished"
    assert set(answer["outcomes"]) <= {"completed", "stopped"}
    trials = _trials(tmp_path)
    first = trials[0]
    assert list(first.attempts.values())[:2] == ["lost", first.attempts[2]]
    assert [epoch.epoch for epoch in first.epochs] == list(range(1, len(first.epochs) + 1))
    used = [epoch.result.workers for trial in trials for epoch in trial.epochs]
    assert used[0] == 2
    assert used[-1] == 1
    assert used == sorted(used, reverse=True)


def _trials(cwd: Path) -> list[TrialRecord]:
    database = Database.open(cwd / "runs/shared/search.db", create=False)
    try:
        return read_trials(database, get_search(database, "shared").id)
    finally:
        database.close()


def _workers_of(pid: int) -> list[int]:
    """Process ids of a trial's workers, by age; Ray renames them while they work."""
    for _ in range(100):
        found = [
            process.pid
            for process in _descendants(pid)
            if any("RayTrainWorker" in word for word in _words(process))
        ]
        if found:
            return sorted(found)
        time.sleep(0.1)
    raise AssertionError("no worker was seen")


def _descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _is_loopback(address: str) -> bool:
    parsed = ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _listening_beyond_loopback(pid: int) -> list[Any]:
    found = []
    for process in _descendants(pid):
        with contextlib.suppress(psutil.Error):
            found += [
                (_words(process)[:1], connection.laddr)
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
                and not _is_loopback(connection.laddr.ip)
            ]
    return found
