"""A worker is taken to hang after `--hang-seconds` without a sign of life, and only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from archsearch.engine.running_trials import START_SECONDS, RunningTrials
from archsearch.engine.signs_of_life import ReportThread, Sign, send_signs
from archsearch.search.assignment import EndReport, Report
from archsearch.training.progress import Progress

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

HANG_SECONDS = 60.0
REPORT = EndReport(number=0, attempt=1, outcome="failed", reason="")


class Driver:
    """Turns of Tune's loop on a clock of their own, with four trials."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.killed: list[str] = []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("archsearch.engine.running_trials.time", clock)
        monkeypatch.setattr("ray.kill", self.killed.append)
        director = SimpleNamespace(hang_seconds=HANG_SECONDS)
        self.trials = RunningTrials(cast("Any", SimpleNamespace(director=director)))

    def add(self, name: str) -> Trial:
        trial = cast("Trial", SimpleNamespace(trial_id=name, is_finished=lambda: False))
        self.trials.add(trial, lambda trial: None if " " in trial.trial_id else trial.trial_id)
        return trial

    def wait(self, seconds: float, turn: float = 1.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += turn
            self.trials.kill_the_hung()


def test_a_worker_is_killed_after_that_time_without_a_sign_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(monkeypatch)
    trial = driver.add("silent")
    driver.trials.saw(trial, has_workers=True)
    driver.wait(HANG_SECONDS)
    assert not driver.killed
    driver.wait(1.0)
    assert driver.killed == ["silent"]
    driver.wait(HANG_SECONDS)
    assert driver.killed == ["silent"]
    assert driver.trials.remove("silent")[1].kind == "hung"


def test_signs_keep_a_worker_alive_however_long_its_epoch_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(monkeypatch)
    trial = driver.add("alive")
    for _ in range(20):
        driver.trials.saw(trial, has_workers=True)
        driver.wait(HANG_SECONDS)
    assert not driver.killed


def test_a_worker_that_starts_has_more_time_and_one_that_waits_for_room_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(monkeypatch)
    driver.add("without a worker")
    driver.wait(10 * START_SECONDS)
    driver.add("starting")
    driver.wait(START_SECONDS)
    assert not driver.killed
    driver.wait(2.0)
    assert driver.killed == ["starting"]


def test_time_in_which_the_driver_was_suspended_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(monkeypatch)
    trial = driver.add("alive")
    driver.trials.saw(trial, has_workers=True)
    driver.wait(3600.0, turn=3600.0)
    assert not driver.killed


def test_progress_is_what_was_finished_and_not_that_time_goes_by() -> None:
    progress = Progress()
    assert not progress.has_moved()
    progress.advance()
    assert progress.has_moved()
    assert not progress.has_moved()


def test_an_indivisible_piece_counts_as_alive_up_to_its_limit_and_as_one_piece() -> None:
    progress = Progress()
    with progress.indivisible(limit_seconds=60.0):
        assert progress.has_moved()
        assert progress.has_moved()
    assert progress.has_moved()
    assert not progress.has_moved()
    with progress.indivisible(limit_seconds=0.0):
        assert not progress.has_moved()


def trained(
    progress: Progress, step: Callable[[], object], threads: set[int]
) -> Generator[Report, None, None]:
    for _ in range(2):
        threads.add(threading.get_ident())
        step()
        progress.advance()
        yield REPORT


def test_a_trial_gives_signs_while_its_steps_go_on_and_none_while_they_do_not() -> None:
    progress, threads, thread = Progress(), set[int](), ReportThread()
    step, finished = threading.Event(), threading.Event()

    def steps() -> None:
        while not finished.is_set():
            step.wait(60)
            progress.advance()
            time.sleep(0.001)

    reports = thread.reports(trained(progress, steps, threads), progress, seconds=0.05)
    silent = threading.Timer(0.3, step.set)
    began = time.monotonic()
    silent.start()
    assert next(reports) is Sign.ALIVE
    assert time.monotonic() - began >= 0.3  # nothing was said before the first step
    assert next(reports) is Sign.ALIVE
    finished.set()
    told = list(reports)
    assert [each for each in told if each is not Sign.ALIVE] == [REPORT, REPORT]
    again = thread.reports(trained(progress, lambda: None, threads), progress, seconds=60.0)
    assert next(again) == REPORT
    again.close()
    assert len(threads) == 1  # one thread for all trials
    assert threading.get_ident() not in threads


def test_what_training_raises_is_raised_where_its_reports_are_read() -> None:
    def broken() -> None:
        raise OSError(28, "No space left on device")

    progress = Progress()
    reports = ReportThread().reports(trained(progress, broken, set()), progress, seconds=60.0)
    with pytest.raises(OSError, match="No space left"):
        next(reports)


def test_signs_are_sent_for_progress_alone() -> None:
    progress, sent = Progress(), threading.Semaphore(0)
    send_signs(progress, sent.release, seconds=0.02)
    progress.advance()
    assert sent.acquire(timeout=60)
    assert not sent.acquire(timeout=0.2)
    progress.advance()
    assert sent.acquire(timeout=60)
