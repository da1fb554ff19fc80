"""Decides what is trained and what goes on: the whole search but for where trials run.

Ray's searcher and scheduler only pass on what the director says; a loop in one process can do
the same (`engine.in_process`), and so can a simulation.
"""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.unfairness import FairnessWatch
from archsearch.data import PreparedData
from archsearch.errors import UnfitError
from archsearch.halving.decision import Decision
from archsearch.halving.stopping_rule import Ruling, StoppingRule
from archsearch.record.cells import finite
from archsearch.record.database import now_ms
from archsearch.record.messages import SystemMetrics
from archsearch.record.paths import SearchPaths
from archsearch.record.trial import EpochRecord, TrialRecord
from archsearch.record.writer import Ending, TrialWriter
from archsearch.search.agenda import Agenda, NextWork, Pause
from archsearch.search.assignment import Assignment, EndReport, EpochReport, Report, TroubleReport
from archsearch.search.confirmation import Confirmation
from archsearch.search.draws import Draw, Draws
from archsearch.search.events import (
    EpochFinished,
    Listener,
    Notice,
    TrialStarted,
    UnfairnessWarning,
    WarningNotice,
    trial_ended,
)
from archsearch.search.lost_worker import LostWorker
from archsearch.search.remaining import ExhaustedError
from archsearch.search.rulings import ending_of, is_protected_trial
from archsearch.search.sampler import Sampler
from archsearch.search.slots import TrialShape
from archsearch.search.trial_table import TrialTable
from archsearch.training.checkpoint_file import newest_valid
from archsearch.training.result import EpochResult

_SIGN_SECONDS = 5.0
"""Between two signs of life of a worker, at most: each costs the driver a message."""


class Director:
    """Keeps record, sampler and rungs in step, one event at a time; not for several threads.

    Attributes:
        hang_seconds: A worker without a sign of life for so long is taken to hang.
    """

    def __init__(
        self,
        *,
        writer: TrialWriter,
        paths: SearchPaths,
        draws: Draws,
        sampler: Sampler,
        stopping_rule: StoppingRule,
        data: PreparedData,
        num_trials: int,
        shape: TrialShape,
        hang_seconds: float,
        listener: Listener,
        confirmation: Confirmation | None = None,
        sync_batch_norm: bool = False,
    ) -> None:
        self._table = TrialTable(writer)
        self._paths = paths
        self._draws = draws
        self._sampler = sampler
        self._stopping_rule = stopping_rule
        self._data = data
        self._shape = shape
        self._sync_batch_norm = sync_batch_norm
        self.hang_seconds = hang_seconds
        self._tell = listener
        self._fairness = FairnessWatch(stopping_rule.rungs)
        self._confirmation = confirmation or Confirmation()
        self._agenda = Agenda(num_trials)
        self._skipped: set[str] = set()
        self._drawn: Draw | None = None

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials so far, by number."""
        return self._table.all

    @property
    def unfinished(self) -> bool:
        """Whether something of what was asked for is left to do."""
        return (
            self._agenda.asks_for_more(self._table.num_search_trials)
            or bool(self._table.unfinished)
            or self._confirmation.is_due(self.trials)
        )

    @property
    def num_open(self) -> int:
        """Trials that could run now if there were room for all."""
        due = self._confirmation.num_due(self.trials)
        return self._agenda.num_open(self._table.num_search_trials) + due

    @property
    def ending(self) -> str | None:
        """Why the search ends before all that was asked for is done, if somebody wanted that."""
        return self._agenda.draining or self._agenda.closed

    @property
    def is_draining(self) -> bool:
        """Whether nothing more is started, and what runs ends with its epoch."""
        return self._agenda.draining is not None

    @property
    def completeness(self) -> str | None:
        """That every member of the space was tried, in a sentence; None while that is not so."""
        return self._draws.completeness

    def look_ahead(self) -> None:
        """Draw the next trial now, if the next worker would get it: is there one at all?

        So a space that has nothing new to offer costs no worker. Call it after `restore`.

        Raises:
            UnfitError: No variant is feasible.
        """
        agenda = self._agenda
        if agenda.asks_for_more(self._table.num_search_trials) and not (
            agenda.waiting or agenda.alone
        ):
            self._drawn = self._draw()

    def drain(self, reason: str) -> None:
        """Start nothing more; let each running trial finish its epoch."""
        self._agenda.draining = self._agenda.draining or reason

    def close(self, reason: str) -> None:
        """Start no new trial; those that are running or waiting are trained to their end."""
        self._agenda.closed = reason

    def pause(self, paused: bool) -> None:
        """Let running trials finish their epoch and wait; or let everything go on."""
        self._agenda.paused = paused

    def restore(self, trials: Sequence[TrialRecord]) -> None:
        """Take over what is recorded, then what workers published and nobody recorded.

        Rungs are filled in the order in which epochs were recorded. Trials without an outcome
        wait to be issued again.
        """
        self._table.restore(trials)
        recorded = [(epoch, trial) for trial in trials for epoch in trial.epochs]
        for epoch, trial in sorted(recorded, key=lambda pair: pair[0].sequence or 0):
            if epoch.value is not None:
                self._rule(trial, epoch.epoch, epoch.value)
        for trial in self._table.unfinished:
            self._adopt_published(trial)
        for trial in self._table.unfinished:
            if any(ended is None for ended in trial.attempts.values()):
                self._table.end_attempts(trial.number, "interrupted", "its driver ended")
            self._agenda.goes_on(trial.number, alone="memory" in trial.attempts.values())

    def _adopt_published(self, trial: TrialRecord) -> None:
        """Record the epochs whose checkpoints are there although their driver was killed."""
        folder = self._paths.trial(trial.number).checkpoints
        recovery = newest_valid(folder, trial.attempts, trial.config.seeded_digest)
        self._warn_of_skipped(trial.number, recovery.skipped)
        if recovery.checkpoint is None:
            return
        header = recovery.checkpoint.header
        for result in header.history:
            current = self._table[trial.number]
            if result.epoch > len(current.epochs) and not current.is_finished:
                is_newest = result.epoch == header.epoch
                self._record_epoch(
                    current,
                    result,
                    attempt=header.attempt,
                    checkpoint=recovery.checkpoint.path.name if is_newest else None,
                    checksum=header.payload_sha256 if is_newest else None,
                )

    def _warn_of_skipped(self, number: int, skipped: Sequence[str]) -> None:
        """Say once what the driver finds first, and the worker again."""
        for text in skipped:
            if text not in self._skipped:
                self._skipped.add(text)
                self._tell(WarningNotice(f"trial {number}: {text}; the one before it is used"))

    def next_assignment(self, num_slots: int) -> Assignment | Pause:
        """What the next free worker does.

        Raises:
            UnfitError: No variant is feasible.
        """
        answer = self._agenda.next(num_slots, self._table.num_search_trials)
        if isinstance(answer, Pause):
            return answer
        if isinstance(answer, int):
            return self._issue_again(answer)
        if answer is NextWork.CONFIRM:
            run = self._confirmation.next(self.trials)
            return self._agenda.idle if run is None else self._issue_new(run)
        drawn, self._drawn = self._drawn or self._draw(), None
        return self.next_assignment(num_slots) if drawn is None else self._issue_new(drawn)

    def _draw(self) -> Draw | None:
        """The next new trial; None, and a word, where the space has nothing new to offer."""
        try:
            return self._draws.next(len(self._table))
        except ExhaustedError as error:
            self._agenda.exhausted = True
            self._tell(Notice(f"the search ends early: {error}"))
            return None

    def _issue_new(self, draw: Draw) -> Assignment:
        trial = draw.as_trial(len(self._table), now_ms())
        self._table.issue(trial)
        return self._assignment(trial, 1)

    def _issue_again(self, number: int) -> Assignment:
        attempt = self._table.issue_again(number)
        return self._assignment(self._table[number], attempt)

    def _assignment(self, trial: TrialRecord, attempt: int) -> Assignment:
        self._agenda.running.add(trial.number)
        self._tell(
            TrialStarted(trial.number, attempt, trial.name, trial.family, trial.arm, trial.params)
        )
        return Assignment(
            number=trial.number,
            attempt=attempt,
            issued_attempts=tuple(trial.attempts),
            config=trial.config,
            data=self._data,
            folder=str(self._paths.trial(trial.number).root.absolute()),
            shared=None if self._paths.storage is None else str(self._paths.storage),
            num_workers=self._shape.num_workers,
            num_threads=self._shape.num_cpus,
            num_gpus=self._shape.num_gpus,
            sync_batch_norm=self._sync_batch_norm,
            sign_seconds=min(_SIGN_SECONDS, self.hang_seconds / 4),
        )

    def on_report(self, report: Report) -> Decision:
        """A worker has finished an epoch, or a trial has ended by itself.

        Raises:
            UnfitError: The worker's machine cannot go on; the trial stays to be continued.
        """
        trial = self._table[report.number]
        self._warn_of_skipped(report.number, report.warnings)
        if trial.is_finished or report.attempt != max(trial.attempts):
            return Decision.STOP
        if isinstance(report, TroubleReport):
            raise UnfitError(
                f"trial {report.number} cannot go on: {report.reason}; mend that, then run the "
                "same command again: it continues"
            )
        if isinstance(report, EndReport):
            self._end(trial, Ending(report.outcome, report.reason), report.result)
            return Decision.STOP
        return self._on_epoch(trial, report)

    def _on_epoch(self, trial: TrialRecord, report: EpochReport) -> Decision:
        # A repeated epoch (its checkpoint was damaged) is recorded already, ruling and all.
        if report.result.epoch > len(trial.epochs):
            self._record_epoch(
                trial,
                report.result,
                attempt=report.attempt,
                checkpoint=report.checkpoint,
                checksum=report.checksum,
                load=report.load,
            )
        if self._table[trial.number].is_finished:
            return Decision.STOP
        return Decision.STOP if self._agenda.holds_up else Decision.CONTINUE

    def _record_epoch(
        self,
        trial: TrialRecord,
        result: EpochResult,
        *,
        attempt: int,
        checkpoint: str | None,
        checksum: str | None,
        load: SystemMetrics | None = None,
    ) -> None:
        """Record an epoch with what follows from it, in one transaction."""
        value = trial.objective.of(result)
        epoch = EpochRecord(
            epoch=result.epoch,
            attempt=attempt,
            value=finite(value),
            result=result,
            checkpoint=checkpoint,
            checksum=checksum,
            created_ms=now_ms(),
        )
        ruling = self._rule(trial, result.epoch, value)
        shadow = result.epoch if ruling.shadow_stop else None
        ending = ending_of(trial, result, ruling)
        updated = self._table.add_epoch(
            trial.number, epoch, load=load, shadow_rung_epochs=shadow, ending=ending
        )
        self._tell(
            EpochFinished(
                trial.number, epoch.epoch, trial.config.max_epochs, epoch.value, trial.objective
            )
        )
        self._changed(updated)

    def _rule(self, trial: TrialRecord, epoch: int, value: float) -> Ruling:
        """The rungs' answer to an epoch; confirm runs are not compared with anything."""
        if trial.is_confirm_run:
            return Ruling(Decision.CONTINUE)
        return self._stopping_rule.report(
            trial.number, epoch, value, protected=is_protected_trial(trial)
        )

    def _end(self, trial: TrialRecord, ending: Ending, result: EpochResult | None) -> None:
        """A trial ends outside the rungs; a diverged epoch is kept as its last one."""
        if result is not None and result.epoch > len(trial.epochs):
            self._record_epoch(
                trial, result, attempt=max(trial.attempts), checkpoint=None, checksum=None
            )
            return
        self._changed(self._table.end(trial.number, ending))

    def _changed(self, trial: TrialRecord) -> None:
        """Tell the sampler how a trial stands, and everybody of an outcome."""
        self._sampler.tell(trial)
        if not trial.is_finished:
            return
        self._agenda.ended(trial.number)
        self._tell(trial_ended(trial))
        learned = None if trial.is_confirm_run else self._draws.memory.learn(trial)
        if learned is not None:
            self._tell(WarningNotice(learned))
        for unfair in self._fairness.after(trial, self.trials):
            self._tell(UnfairnessWarning(unfair.sentence, unfair.family))

    def on_released(self, number: int) -> None:
        """The worker of a trial is free again: it ended, or was let go in a drain or a pause."""
        self._agenda.running.discard(number)
        trial = self._table[number]
        if not trial.is_finished and self._agenda.draining is None:
            self._table.end_attempts(number, "paused", "the search was paused")
            self._agenda.goes_on(number)

    def on_lost(self, number: int, lost: LostWorker) -> None:
        """A worker is gone with its trial, which is issued again from its last checkpoint.

        That is not held against the variant: losses are counted apart, and only when one kind
        of them has come too often is the trial given up.
        """
        self._agenda.running.discard(number)
        if self._table[number].is_finished:
            return
        self._table.end_attempts(number, lost.kind, lost.reason)
        self._adopt_published(self._table[number])
        trial = self._table[number]
        if trial.is_finished:
            return
        ending = lost.ending(trial.attempts.values())
        if ending is not None:
            self._end(trial, ending, None)
            return
        where = "alone, when no other trial runs" if lost.kind == "memory" else "on another"
        self._tell(
            WarningNotice(f"trial {number} lost its worker ({lost.reason}); it goes on {where}")
        )
        self._agenda.goes_on(number, alone=lost.kind == "memory")
