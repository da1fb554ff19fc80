"""The trials of a search, in memory and in the record: each change is made in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archsearch.record.database import now_ms
from archsearch.record.messages import SystemMetrics
from archsearch.record.trial import EpochRecord, TrialRecord, search_trials
from archsearch.record.writer import Ending, TrialWriter


class TrialTable:
    """Trials by number, written down first and changed in memory then.

    Attributes:
        num_search_trials: How many are no confirm runs; counted here, for it is asked often.
    """

    def __init__(self, writer: TrialWriter) -> None:
        self._writer = writer
        self._trials: dict[int, TrialRecord] = {}
        self.num_search_trials = 0

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, number: int) -> TrialRecord:
        return self._trials[number]

    @property
    def all(self) -> list[TrialRecord]:
        """All trials so far, by number."""
        return list(self._trials.values())

    @property
    def unfinished(self) -> list[TrialRecord]:
        """Those that have no outcome, by number."""
        return [trial for trial in self._trials.values() if not trial.is_finished]

    def restore(self, trials: Sequence[TrialRecord]) -> None:
        """Take over what is recorded."""
        self._trials = {trial.number: trial for trial in trials}
        self.num_search_trials = len(search_trials(trials))

    def issue(self, trial: TrialRecord) -> None:
        """A new trial is given to a worker, as its first attempt."""
        self._writer.add_trial(trial)
        self._trials[trial.number] = trial
        self.num_search_trials += not trial.is_confirm_run

    def issue_again(self, number: int) -> int:
        """An unfinished trial is given to a worker once more; the attempt's number."""
        trial = self._trials[number]
        attempt = max(trial.attempts) + 1
        self._writer.add_attempt(number, attempt)
        trial.attempts[attempt] = None
        return attempt

    def end_attempts(self, number: int, how: str, reason: str) -> None:
        """Whatever attempt of a trial still counts as running has ended."""
        self._writer.end_attempts(number, how, reason)
        trial = self._trials[number]
        ended: dict[int, str | None] = {n: old or how for n, old in trial.attempts.items()}
        self._trials[number] = replace(trial, attempts=ended)

    def add_epoch(
        self,
        number: int,
        epoch: EpochRecord,
        *,
        load: SystemMetrics | None,
        shadow_rung_epochs: int | None,
        ending: Ending | None,
    ) -> TrialRecord:
        """A trial has finished an epoch, and perhaps ends with it; the trial as it is now.

        Args:
            number: The trial.
            epoch: One that it has not yet.
            load: What the worker asked of its machine.
            shadow_rung_epochs: The epoch, where the rule would have stopped the trial at it.
            ending: How the trial ends with it; None while it goes on.
        """
        self._writer.add_epoch(
            number, epoch, load=load, shadow_rung_epochs=shadow_rung_epochs, ending=ending
        )
        trial = self._trials[number]
        trial = replace(
            trial,
            epochs=[*trial.epochs, epoch],
            shadow_rung_epochs=trial.shadow_rung_epochs or shadow_rung_epochs,
        )
        return self._keep(trial, ending)

    def end(self, number: int, ending: Ending) -> TrialRecord:
        """A trial ends without a further epoch; the trial as it is now."""
        self._writer.end_trial(number, ending)
        return self._keep(self._trials[number], ending)

    def _keep(self, trial: TrialRecord, ending: Ending | None) -> TrialRecord:
        if ending is not None:
            trial = replace(
                trial,
                outcome=ending.outcome,
                reason=ending.reason,
                rung_epochs=ending.rung_epochs,
                finished_ms=now_ms(),
                attempts={n: ended or "finished" for n, ended in trial.attempts.items()},
            )
        self._trials[trial.number] = trial
        return trial
