"""A search without training: all is real but the learning curves, which are made up."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsearch.driver.run import run_search
from archsearch.halving.decision import Decision
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder, SearchPaths, TrialPaths
from archsearch.record.reader import get_search, read_refusals, read_trials
from archsearch.record.trial import Refusal, TrialRecord
from archsearch.search.agenda import Pause
from archsearch.search.assignment import Assignment, EndReport, EpochReport, Report
from archsearch.search.lost_worker import LostWorker
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState
from archsearch.storage import storage_path
from archsearch.training.checkpoint_file import (
    CheckpointHeader,
    checkpoint_name,
    newest_valid,
    write_checkpoint,
)
from archsearch.training.result import EpochResult
from tests.records import result_of

# Nothing listens there: tracking fails at once, which is nothing to a search.
NO_TRACKING = "http://127.0.0.1:9"

Curve = Callable[[Assignment, int], float]


def learning_curve(assignment: Assignment, epoch: int) -> float:
    """Accuracy that rises to a limit which the learning rate and the width set."""
    rate = assignment.config.recipe.learning_rate
    width = getattr(assignment.config.architecture, "widen_factor", 1)
    limit = 0.95 - abs(rate - 0.1) - 0.01 / width
    return limit * (1 - 0.5**epoch) + 1e-4 * (assignment.config.seed % 7)


def finished_search(runs: Path, data_cache: Path, **fields: Any) -> None:
    """Make a runs folder with one finished search, `first`, whose record is one file."""
    runs.mkdir()
    (runs / "data").symlink_to(data_cache)
    asked: dict[str, Any] = {"space": "smoke", "name": "first", "tracking_uri": NO_TRACKING}
    run_search(SearchRequest(runs_dir=runs, **asked | fields), run_trials=SyntheticRunner())
    with contextlib.closing(sqlite3.connect(runs / "first" / "search.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass
class SyntheticRunner:
    """Runs assignments round-robin, `num_slots` at a time, on made-up curves.

    Attributes:
        curve: Accuracy of an assignment after an epoch.
        num_slots: Trials at a time.
        die_after: End the process, as SIGKILL would, after so many events (an event is a
            published checkpoint or a report that was answered).
        end: Ends a trial by itself at some epoch: a report instead of the epoch's, or None.
        lose: Takes a trial's worker away at some epoch.
        together: Which trials were running whenever one of them had its turn.
    """

    curve: Curve = learning_curve
    num_slots: int = 1
    die_after: int | None = None
    end: Callable[[Assignment, int], EndReport | None] = lambda assignment, epoch: None
    lose: Callable[[Assignment, int], LostWorker | None] = lambda assignment, epoch: None
    together: list[tuple[Assignment, set[int]]] = field(default_factory=list, init=False)
    events: int = field(default=0, init=False)

    def __call__(self, run_state: RunState, request: SearchRequest, gpus: float) -> None:
        run_state.on_started(self.num_slots, "no device")
        running: dict[int, tuple[Assignment, list[EpochResult]]] = {}
        while not run_state.stop_now:
            answer = run_state.director.next_assignment(self.num_slots)
            if isinstance(answer, Assignment):
                running[answer.number] = (answer, self._recovered(answer))
                continue
            if answer is Pause.DONE and not running:
                return
            for number in list(running):
                assignment, history = running[number]
                self.together.append((assignment, set(running)))
                loss = self.lose(assignment, len(history) + 1)
                if loss is not None:
                    del running[number]
                    run_state.director.on_lost(number, loss)
                    self._event()
                    continue
                report = self._one_epoch(assignment, history)
                if run_state.director.on_report(report) is Decision.STOP:
                    run_state.director.on_released(number)
                    del running[number]
                self._event()

    def _recovered(self, assignment: Assignment) -> list[EpochResult]:
        folder = storage_path(assignment.folder)
        issued, digest = assignment.issued_attempts, assignment.config.seeded_digest
        found = newest_valid(folder, issued, digest)
        return list(found.checkpoint.header.history) if found.checkpoint else []

    def _one_epoch(self, assignment: Assignment, history: list[EpochResult]) -> Report:
        epoch = len(history) + 1
        paths = TrialPaths(storage_path(assignment.folder))
        paths.root.make_folder()
        paths.note_start(assignment.attempt, epoch)
        ended = self.end(assignment, epoch)
        if ended is not None:
            return ended
        history.append(result_of(self.curve(assignment, epoch), epoch))
        header = write_checkpoint(
            paths.checkpoints / checkpoint_name(epoch, assignment.attempt),
            CheckpointHeader(
                epoch=epoch,
                attempt=assignment.attempt,
                config_digest=assignment.config.seeded_digest,
                history=tuple(history),
            ),
            b"weights",
        )
        self._event()
        return EpochReport(
            number=assignment.number,
            attempt=assignment.attempt,
            result=history[-1],
            checkpoint=checkpoint_name(epoch, assignment.attempt),
            checksum=header.payload_sha256,
        )

    def _event(self) -> None:
        self.events += 1
        if self.events == self.die_after:
            os._exit(9)


def run_and_die(request: SearchRequest, runner: SyntheticRunner) -> bool:
    """Run a search in a child process; whether it died instead of finishing."""
    child = os.fork()
    if child == 0:
        try:
            run_search(request, run_trials=runner)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9), f"the child ended with {code}"
    return code == 9


@dataclass(frozen=True)
class Recorded:
    """Everything that a search's record says."""

    trials: list[TrialRecord]
    refusals: list[Refusal]
    paths: SearchPaths

    @property
    def table(self) -> list[tuple[Any, ...]]:
        """What must not depend on how often the search was killed."""
        return [
            (
                t.number,
                t.name,
                t.arm,
                t.params,
                t.config.seed,
                t.outcome,
                t.reason,
                t.rung_epochs,
                t.shadow_rung_epochs,
                [(e.epoch, e.value) for e in t.epochs],
            )
            for t in self.trials
        ]

    @property
    def epochs_started(self) -> int:
        return sum(self.paths.epochs_started().values())

    @property
    def epochs_recorded(self) -> int:
        return sum(len(t.epochs) for t in self.trials)


def recorded(runs_dir: Path) -> Recorded:
    """What the only search of a folder has on record."""
    runs = RunsFolder(runs_dir)
    (name,) = runs.names()
    paths = runs.search(name)
    database = Database.open(paths.database, create=False)
    try:
        search = get_search(database, name)
        trials, refusals = read_trials(database, search.id), read_refusals(database, search.id)
        return Recorded(trials, refusals, runs.of(search))
    finally:
        database.close()
