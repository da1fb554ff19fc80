"""Who worked when, and where the time went."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from archsearch.analysis.device_time import device_time
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.timeline import num_slots, spans_of
from archsearch.record.attempts import AttemptRecord, workers_in_log
from archsearch.report.figures_running import timeline_figure
from archsearch.storage import LocalPath


def test_every_attempt_has_its_time_and_no_lane_has_two_at_once(recorded: RecordedSearch) -> None:
    spans = spans_of(recorded)
    assert len(spans) == len(recorded.attempts)
    assert num_slots(spans) == 2
    lanes = {span.lane for span in spans}
    assert len(lanes) == 2
    for lane in lanes:
        own = [span for span in spans if span.lane == lane]
        assert all(a.end_ms <= b.begin_ms for a, b in pairwise(own))


def test_lanes_are_workers_where_their_logs_are(recorded: RecordedSearch) -> None:
    workers = {(a.number, a.attempt): f"host/{a.number % 3}" for a in recorded.attempts}
    known = replace(recorded)
    known.__dict__["workers"] = workers  # as if it had been read from logs
    assert {span.lane for span in spans_of(known)} == {f"worker host/{i}" for i in range(3)}
    del workers[recorded.attempts[0].number, 1]
    assert {span.lane for span in spans_of(known)} == {"slot 1", "slot 2"}


def test_a_lost_attempt_ends_with_its_last_epoch(recorded: RecordedSearch) -> None:
    trial = recorded.trials[0]
    half = len(trial.epochs) // 2
    epochs = [replace(e, attempt=1 if e.epoch <= half else 2) for e in trial.epochs]
    split = replace(trial, epochs=epochs, attempts={1: "worker", 2: "finished"})
    second = trial.epochs[half].created_ms
    attempts = [
        AttemptRecord(trial.number, 1, "worker", "it was killed", trial.created_ms),
        AttemptRecord(trial.number, 2, "finished", None, second),
    ]
    first, last = spans_of(replace(recorded, trials=[split], attempts=attempts))
    assert (first.end_ms, first.epochs) == (trial.epochs[half - 1].created_ms, half)
    assert (last.end_ms, last.epochs) == (trial.finished_ms, len(trial.epochs) - half)


def test_a_break_is_cut_out_of_the_time_line(recorded: RecordedSearch) -> None:
    day = 24 * 3600 * 1000
    spans = spans_of(recorded)
    late = [
        replace(s, begin_ms=s.begin_ms + day, end_ms=s.end_ms + day) if i >= 12 else s
        for i, s in enumerate(spans)
    ]
    figure = timeline_figure(late)
    assert figure is not None
    assert "1 dotted line" in figure.caption
    assert figure.plot.layout.xaxis.range[1] < 10  # minutes, not a day


def test_uses_add_up_to_the_slots_time(recorded: RecordedSearch) -> None:
    account = device_time(recorded, spans_of(recorded))
    assert account.slots == 2
    assert sum(share.seconds for share in account.shares) == pytest.approx(account.capacity)
    by_use = {share.use: share.seconds for share in account.shares}
    completed = sum(len(t.epochs) for t in recorded.trials if t.outcome == "completed")
    assert by_use["useful"] == pytest.approx(completed * 0.11)
    stopped = sum(len(t.epochs) for t in recorded.trials if t.outcome == "stopped")
    assert by_use["stopped"] == pytest.approx(stopped * 0.11)


def test_epochs_started_again_are_charged_as_repeated(recorded: RecordedSearch) -> None:
    repeated = replace(recorded)
    trial = next(t for t in recorded.trials if t.outcome == "completed")
    started = recorded.epochs_started | {trial.number: len(trial.epochs) + 3}
    repeated.__dict__["epochs_started"] = started
    by_use = {s.use: s.seconds for s in device_time(repeated, spans_of(repeated)).shares}
    assert by_use["repeated"] == pytest.approx(3 * 0.11)


def test_the_worker_is_read_from_the_log_of_now_and_of_before(tmp_path: object) -> None:
    from pathlib import Path

    log = Path(str(tmp_path)) / "worker.log"
    assert workers_in_log(LocalPath(log)) == {}
    log.write_text(
        "2026-01-01 00:00:00,000 11 INFO attempt 1 at WRN-10-1\n"
        "2026-01-01 00:00:01,000 11 INFO epoch 1: accuracy 0.5000 in 0.10 s\n"
        "2026-01-01 00:00:02,000 12 INFO attempt 2 at WRN-10-1 on node-7\n"
    )
    assert workers_in_log(LocalPath(log)) == {1: "11", 2: "node-7/12"}
