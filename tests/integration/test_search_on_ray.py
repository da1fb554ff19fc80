"""Searches as users run them: real Ray, real training, real signals and kills."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from archsearch.registry.versions import open_registry
from archsearch.tracking.store import TrackingStore
from tests.cli_support import call, start_search, status

ONE_WORKER = (
    "--space", "smoke", "--trials", 6, "--concurrency", 1, "--name", "one", "--confirm", "1x2",
)  # fmt: skip
TWO_WORKERS = (
    "--space", "smoke", "--trials", 6, "--concurrency", 2, "--name", "two", "--confirm", "none",
)  # fmt: skip


def table(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("number", "name", "arm", "params", "outcome", "reason", "epochs", "val_accuracy")
    return [tuple(trial[key] for key in keys) for trial in answer["trials"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a one-worker search has ended that nobody disturbed."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    done = call("search", *ONE_WORKER, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return cwd


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, Any]:
    """How that search stands."""
    return status(folder, "one")


def test_a_search_answers_with_a_table_and_every_outcome_has_a_reason(
    undisturbed: dict[str, Any],
) -> None:
    assert undisturbed["state"] == "finished"
    assert [trial["number"] for trial in undisturbed["trials"]] == list(range(8))
    arms = [trial["arm"] for trial in undisturbed["trials"]]
    assert [arm == "confirm" for arm in arms] == [False] * 6 + [True] * 2
    assert sum(undisturbed["outcomes"].values()) == 6
    for trial in undisturbed["trials"]:
        assert trial["outcome"] in ("completed", "stopped")
        assert trial["reason"]
        assert trial["epochs"] == trial["epochs_trained"]
    best = max(
        (t for t in undisturbed["trials"][:6] if t["outcome"] == "completed"),
        key=lambda trial: trial["val_accuracy"],
    )
    assert undisturbed["incumbent"]["val_accuracy"] == best["val_accuracy"]
    assert undisturbed["incumbent"]["epochs"] == 3
    assert undisturbed["undelivered"] == 0


@pytest.mark.slow
def test_the_winner_of_real_confirm_runs_is_promoted_with_what_the_search_knew_of_it(
    folder: Path, undisturbed: dict[str, Any], store: TrackingStore, tmp_path: Path
) -> None:
    done = call("promote", "one", "--model", "confirmed", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told, winner = json.loads(done.stdout), undisturbed["winner"]
    assert told["trial"] == winner["model_trial"]
    assert (told["chosen"], told["caution"]) == ("the winner of 2 confirm runs", None)
    assert told["test_accuracy"] == winner["test_accuracy"]
    assert told["num_test"] == winner["num_test"] == 359
    assert status(folder, "one")["winner"]["models_read_on_test"] == 1  # not read once more
    with open_registry(store, "confirmed") as registry:
        version = registry.version("confirmed", "champion")
        card = json.loads(registry.fetch(version, tmp_path, "evidence/card.json").read_text())
    runs = {run["trial"]: run for run in card["confirm_runs"]}
    assert {6, 7, winner["trial"]} <= runs.keys()
    assert [runs[number]["arm"] for number in (6, 7)] == ["confirm", "confirm"]
    assert len({run["seed"] for run in runs.values()}) == len(runs)
    by_number = {trial["number"]: trial for trial in undisturbed["trials"]}
    for number, run in runs.items():
        assert run["val_accuracy"] == by_number[number]["val_accuracy"]
    curve = [row["val_accuracy"] for row in card["learning_curve"]]
    assert len(curve) == 3
    assert curve[-1] == winner["model_val_accuracy"]


def test_a_killed_driver_continues_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    kills = 0
    for awaited, num_epochs in ((None, 1), (None, 4), ("confirmation_started", 1)):
        with start_search(*ONE_WORKER, cwd=tmp_path) as search:
            if awaited is not None:
                search.wait_for(awaited)
            search.wait_for("epoch_finished", num_epochs)
            search.process.kill()
            kills += 1
    done = call("search", *ONE_WORKER, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    continued = status(tmp_path, "one")
    assert table(continued) == table(undisturbed)
    assert continued["confirmed"] == undisturbed["confirmed"]
    assert continued["winner"] == undisturbed["winner"]
    assert continued["winner"]["num_test"] == 359
    trained = sum(trial["epochs_trained"] for trial in continued["trials"])
    assert trained <= sum(trial["epochs"] for trial in continued["trials"]) + kills
    assert continued["undelivered"] == 0


def test_one_interrupt_finishes_the_epochs_and_the_same_command_continues(
    tmp_path: Path,
) -> None:
    with start_search(*TWO_WORKERS, cwd=tmp_path) as search:
        search.wait_for("epoch_finished", 1)
        search.process.send_signal(signal.SIGINT)
        code, errors = search.end()
    assert (code, errors) == (130, "")
    interrupted = status(tmp_path, "two")
    assert interrupted["state"] == "interrupted"
    # No epoch was begun and lost.
    assert all(trial["epochs"] == trial["epochs_trained"] for trial in interrupted["trials"])
    done = call("search", *TWO_WORKERS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert status(tmp_path, "two")["outcomes"].keys() <= {"completed", "stopped"}


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        pytest.param((signal.SIGTERM,), 143, id="term"),
        pytest.param((signal.SIGINT, signal.SIGINT), 130, id="int-twice", marks=pytest.mark.slow),
    ],
)
def test_an_urgent_signal_ends_the_search_within_10_seconds_and_resumable(
    tmp_path: Path, signals: tuple[signal.Signals, ...], expected: int
) -> None:
    with start_search(*TWO_WORKERS, cwd=tmp_path) as search:
        search.wait_for("epoch_finished", 1)
        for number in signals:
            search.process.send_signal(number)
            time.sleep(0.2)
        code, _ = search.end(within=10.0)
    assert code == expected
    assert status(tmp_path, "two")["state"] == "interrupted"
    done = call("search", *TWO_WORKERS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_no_worker_waits_for_another_to_start(tmp_path: Path) -> None:
    search = ("--space", "smoke", "--trials", 3, "--concurrency", 3, "--confirm", "none")
    with start_search(*search, cwd=tmp_path) as running:
        events = running.wait_for("epoch_finished")
    assert sum(event["event"] == "trial_started" for event in events) == 3


@pytest.mark.slow
def test_sigterm_is_obeyed_while_ray_starts(tmp_path: Path) -> None:
    with start_search(*TWO_WORKERS, cwd=tmp_path) as search:
        search.wait_for("said")
        time.sleep(1.0)  # Ray takes some seconds
        children = psutil.Process(search.process.pid).children(recursive=True)
        search.process.send_signal(signal.SIGTERM)
        code, errors = search.end(within=10.0)
    assert (code, errors) == (143, "")
    assert status(tmp_path, "two")["state"] == "interrupted"
    assert not psutil.wait_procs(children, timeout=30)[1]


def test_a_second_driver_is_refused_and_told_who_holds_the_search(tmp_path: Path) -> None:
    with start_search(*TWO_WORKERS, cwd=tmp_path) as search:
        search.wait_for("search_started")
        second = call("search", *TWO_WORKERS, cwd=tmp_path)
        assert second.returncode == 3
        assert f"process {search.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        assert search.process.poll() is None


@pytest.mark.slow
def test_a_killed_worker_costs_one_epoch_and_is_not_held_against_the_variant(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    with start_search(*ONE_WORKER, cwd=tmp_path) as search:
        search.wait_for("epoch_finished", 2)
        os.kill(_a_worker_of(search.process.pid), signal.SIGKILL)
        code, errors = search.end()
    assert code == 0, errors
    after = status(tmp_path, "one")
    assert table(after) == table(undisturbed)
    assert max(trial["attempts"] for trial in after["trials"]) == 2


def _a_worker_of(pid: int) -> int:
    """The process id of a worker that has a trial; Ray renames them while they work."""
    for _ in range(200):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "TrialActor" in " ".join(process.cmdline()):
                    return process.pid
        time.sleep(0.05)
    raise AssertionError("no worker has a trial")
