"""Which attempt ran when and where: rebuilt from the record, and from the workers' logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.attempts import AttemptRecord
from archsearch.record.trial import EpochRecord, TrialRecord

MAX_LANES = 64
"""Beyond so many workers, lanes are slots that workers took one after another."""


@dataclass(frozen=True)
class Span:
    """One attempt's time on a worker.

    Attributes:
        trial: The trial.
        attempt: From 1.
        ended: How the attempt ended: `finished`, a loss, or None while it runs.
        begin_ms: When it was issued.
        end_ms: When the trial got its outcome, or the attempt's last epoch was recorded: what a
            lost worker did after that is in no record.
        epochs: That it finished.
        worker: `host/process`, where its log is here.
        lane: The row that it is drawn in.
    """

    trial: TrialRecord
    attempt: int
    ended: str | None
    begin_ms: int
    end_ms: int
    epochs: int
    worker: str | None
    lane: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ms - self.begin_ms) / 1000


def spans_of(recorded: RecordedSearch) -> list[Span]:
    """All attempts in the order in which they were issued, each in its lane.

    Lanes are the workers, if every attempt's log is here and there are few; else slots: as many
    as attempts ever ran at one time.
    """
    trials = {trial.number: trial for trial in recorded.trials}
    epochs = _epochs_by_attempt(recorded.trials)
    last = {attempt.number: attempt.attempt for attempt in recorded.attempts}
    spans = []
    for attempt in sorted(recorded.attempts, key=lambda a: (a.created_ms, a.number, a.attempt)):
        key = (attempt.number, attempt.attempt)
        if attempt.number not in trials:
            continue
        trial = trials[attempt.number]
        mine = epochs[key]
        is_last = last[attempt.number] == attempt.attempt
        end = _end_ms(attempt, trial, mine, is_last, recorded)
        spans.append(
            Span(
                trial=trial,
                attempt=attempt.attempt,
                ended=attempt.ended,
                begin_ms=attempt.created_ms,
                end_ms=max(end, attempt.created_ms),
                epochs=len(mine),
                worker=recorded.workers.get(key),
                lane="",
            )
        )
    return _in_lanes(spans)


def num_slots(spans: Sequence[Span]) -> int:
    """How many attempts ran at one time, at most; 0 for none."""
    steps = [(span.begin_ms, 1) for span in spans] + [(span.end_ms, -1) for span in spans]
    running = most = 0
    for _, step in sorted(steps):  # at the same time an end comes before a begin
        running += step
        most = max(most, running)
    return most or (1 if spans else 0)


def _epochs_by_attempt(
    trials: Sequence[TrialRecord],
) -> dict[tuple[int, int], list[EpochRecord]]:
    found: dict[tuple[int, int], list[EpochRecord]] = defaultdict(list)
    for trial in trials:
        for epoch in trial.epochs:
            found[trial.number, epoch.attempt].append(epoch)
    return found


def _end_ms(
    attempt: AttemptRecord,
    trial: TrialRecord,
    epochs: list[EpochRecord],
    is_last: bool,
    recorded: RecordedSearch,
) -> int:
    if is_last and trial.finished_ms is not None:
        return trial.finished_ms
    if attempt.ended is None and recorded.state == "running":
        return recorded.read_ms
    return max((epoch.created_ms for epoch in epochs), default=attempt.created_ms)


def _in_lanes(spans: list[Span]) -> list[Span]:
    workers = {span.worker for span in spans}
    if None not in workers and len(workers) <= MAX_LANES:
        return [replace(span, lane=f"worker {span.worker}") for span in spans]
    free_at: list[int] = []
    placed = []
    for span in spans:
        lane = next((i for i, free in enumerate(free_at) if free <= span.begin_ms), len(free_at))
        free_at[lane : lane + 1] = [span.end_ms]
        placed.append(replace(span, lane=f"slot {lane + 1}"))
    return placed
