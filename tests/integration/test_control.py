"""A running search is steered from another process."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli_support import RunningSearch, call, start_search, status

SEARCH = ("--space", "smoke", "--trials", 40, "--concurrency", 2, "--name", "steered")


@contextmanager
def paused_search(cwd: Path) -> Iterator[RunningSearch]:
    """A search whose trials have finished an epoch and wait."""
    with start_search(*SEARCH, cwd=cwd) as search:
        search.wait_for("epoch_finished", 2)
        assert call("control", "steered", "pause", cwd=cwd).returncode == 0
        deadline = time.monotonic() + 60
        before = -1
        while (now := _epochs(cwd)) != before and time.monotonic() < deadline:
            before = now
            time.sleep(3)
        yield search


@pytest.mark.slow
def test_pause_holds_all_trials_and_unpause_lets_them_go_on(tmp_path: Path) -> None:
    with paused_search(tmp_path) as search:
        before = _epochs(tmp_path)
        time.sleep(3)
        assert _epochs(tmp_path) == before
        assert status(tmp_path, "steered")["state"] == "running"
        assert call("control", "steered", "unpause", cwd=tmp_path).returncode == 0
        search.wait_for("epoch_finished", 1)
        assert call("control", "steered", "stop", cwd=tmp_path).returncode == 0
        code, errors = search.end()
    assert (code, errors) == (0, "")
    stopped = status(tmp_path, "steered")
    # No trial was left half trained, and what was asked for is still to be done.
    assert stopped["state"] == "interrupted"
    assert stopped["outcomes"].keys() <= {"completed", "stopped"}
    assert 0 < len(stopped["trials"]) < 40
    assert all(trial["epochs"] == trial["epochs_trained"] for trial in stopped["trials"])


@pytest.mark.slow
def test_cancel_ends_now_and_a_search_that_does_not_run_cannot_be_steered(
    tmp_path: Path,
) -> None:
    with start_search(*SEARCH, cwd=tmp_path) as search:
        search.wait_for("epoch_finished", 1)
        assert call("control", "steered", "cancel", cwd=tmp_path).returncode == 0
        search.end()
    assert "cancelled" in status(tmp_path, "steered")["ending"]
    late = call("control", "steered", "pause", cwd=tmp_path)
    assert late.returncode == 3
    assert "is not running" in late.stderr
    unknown = call("control", "steerd", "pause", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "did you mean steered?" in unknown.stderr


@pytest.mark.slow
def test_a_paused_search_ends_within_10_seconds_of_sigterm(tmp_path: Path) -> None:
    with paused_search(tmp_path) as search:
        search.process.send_signal(signal.SIGTERM)
        code, _ = search.end(within=10.0)
    assert code == 143
    assert status(tmp_path, "steered")["state"] == "interrupted"


def _epochs(cwd: Path) -> int:
    return sum(trial["epochs"] for trial in status(cwd, "steered")["trials"])
