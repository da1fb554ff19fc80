"""The Ray actor in which trials run, one after the other on a warm worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ray import tune

from archsearch.search.assignment import Assignment, EpochReport, Report
from archsearch.search.ray_adapters import ASSIGNMENT, METRIC, REPORT
from archsearch.search.worker import work


class TrialActor(tune.Trainable):
    """Passes the reports of `work` to Tune, one a step; everything else is there."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the assignment; the work begins with the first step."""
        self._assignment = Assignment.model_validate_json(config[ASSIGNMENT])
        self._reports: Iterator[Report] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next assignment on the same warm worker."""
        self._close()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """The next report; Tune needs a finite metric whatever happened."""
        if self._reports is None:
            self._reports = work(self._assignment)
        report = next(self._reports)
        accuracy = report.result.val_accuracy if isinstance(report, EpochReport) else 0.0
        return {METRIC: accuracy, REPORT: report.model_dump_json()}

    def cleanup(self) -> None:
        """Let go of the trial's memory and log."""
        self._close()

    def _close(self) -> None:
        if self._reports is not None:
            self._reports.close()  # type: ignore[attr-defined]
            self._reports = None
