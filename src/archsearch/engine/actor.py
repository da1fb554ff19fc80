"""The Ray actor in which trials run, one after the other on a warm worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ray import tune

from archsearch.engine.data_parallel import Workers
from archsearch.engine.signs_of_life import ReportThread, Sign
from archsearch.engine.tune_adapters import ASSIGNMENT, METRIC, REPORT
from archsearch.engine.worker import work
from archsearch.search.assignment import Assignment, EpochReport, Report
from archsearch.training.progress import Progress


class TrialActor(tune.Trainable):
    """Passes reports and signs of life to Tune, one a step.

    Where several workers train a trial, the actor leads them and has no device.
    """

    _workers: Workers | None = None
    _thread: ReportThread | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Take the assignment; the work begins with the first step."""
        self._assignment = Assignment.model_validate_json(config[ASSIGNMENT])
        self._reports: Iterator[Report | Sign] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next assignment on the same warm worker."""
        self._close()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """The next report or sign; Tune needs a finite metric with each."""
        if self._reports is None:
            self._reports = self._begin()
        report = next(self._reports)
        if isinstance(report, Sign):
            return {METRIC: 0.0, REPORT: report.value}
        epochs = float(report.result.epoch) if isinstance(report, EpochReport) else 0.0
        return {METRIC: epochs, REPORT: report.model_dump_json()}

    def cleanup(self) -> None:
        """Let go of the trial's memory, log and workers."""
        self._close()
        if self._workers is not None:
            self._workers.end()

    def _begin(self) -> Iterator[Report | Sign]:
        if self._assignment.num_workers == 1:
            self._thread = self._thread or ReportThread()
            progress = Progress()
            reports = work(self._assignment, progress=progress)
            return self._thread.reports(reports, progress, self._assignment.sign_seconds)
        if self._workers is None or self._workers.are_gone:
            self._workers = Workers(self._assignment, self.logdir)
        return self._workers.work(self._assignment)

    def _close(self) -> None:
        if self._reports is not None:
            self._reports.close()  # type: ignore[attr-defined]
            self._reports = None
