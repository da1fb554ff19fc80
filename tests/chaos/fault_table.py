"""The faults that are injected, what must happen at each, and the table of what happened."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.search_support import Recorded, recorded

README = Path(__file__).with_name("README.md")

# One row each, in this order; a test adds what it measured under the key.
FAULTS: dict[str, tuple[str, str]] = {
    "driver-killed": (
        "driver killed (SIGKILL) at seeded moments, start and finish included",
        "the same command continues; the table of a one-worker search is that of an undisturbed "
        "one; at most one epoch a running trial repeated a kill; no finished trial trained again",
    ),
    "driver-signalled": (
        "driver SIGTERM; SIGINT once and twice",
        "exit 143 in 10 s; 130; 130 at once; all resumable",
    ),
    "worker-killed": (
        "worker killed (SIGKILL)",
        "the trial goes on from its last checkpoint; not held against the variant; bounded",
    ),
    "node-lost": (
        "node lost, ungracefully; node taken back after a notice of preemption",
        "its trials go on elsewhere from their last checkpoints",
    ),
    "out-of-memory": (
        "out of memory above a micro-batch, and from the n-th step on",
        "micro-batch halves; at the smallest: `out_of_memory`, one attempt, sampler told, "
        "neighbours unaffected",
    ),
    "host-memory": (
        "Ray's monitor kills a worker for host memory",
        "a new attempt once, alone in the search, then `out_of_memory`",
    ),
    "not-finite": (
        "NaN or Inf in loss, metric or weights",
        "the trial ends in that epoch as `diverged`; never best, never a rung value",
    ),
    "checkpoint-damaged": (
        "newest checkpoint truncated or a byte flipped, at every 10th position",
        "detected, the previous one is used, one warning, same numbers at the end",
    ),
    "record-damaged": (
        "record truncated, overwritten, of another schema, older, or gone",
        "recovered, or refused with what to do; never fewer finished trials in silence",
    ),
    "disk-full": (
        "disk full: run folder, data cache",
        "stops with the cause named; after space is freed the same command finishes",
    ),
    "store-down": (
        "the object store of the checkpoints killed",
        "stops with the cause named; when it is back the same command finishes",
    ),
    "tracking": (
        "MLflow down, killed midway, hanging, slow, restarted",
        "nothing lost, nothing twice, training not slowed",
    ),
    "record-locked": (
        "SQLite locked by another process",
        "waits; after 30 s says who, and the same command continues",
    ),
    "driver-paused": (
        "driver paused (SIGSTOP) past its lease, then woken",
        "the lease is taken over after 30 s; the woken driver stops without writing",
    ),
    "two-drivers": ("two drivers of one name started together", "exactly one runs"),
    "postgresql": (
        "the record on a PostgreSQL server: the same, and the server restarted",
        "the same; a server that is away ends the search with its cause, and it continues",
    ),
    "trial-hung": (
        "hung worker (SIGSTOP)",
        "killed after its patience, tried once more, then `failed`",
    ),
    "clock-set": (
        "clock set back or forward an hour during a search",
        "nothing depends on it: same table, order by sequence, durations not negative",
    ),
    "family-fails": (
        "every trial of a family fails; every trial fails",
        "the summary says so; exit 0 if any trial completed, else 4",
    ),
    "data-wrong": (
        "data of the user damaged, of a wrong shape, labels out of range",
        "exit 3 naming the file or sample, before any trial",
    ),
    "secrets": (
        "secrets in URLs and environment",
        "in no file of the search, no log, no output",
    ),
    "moved": (
        "search extended, widened, moved by copying its folder",
        "continues; what was finished stays as it was",
    ),
}
ELSEWHERE = {
    "driver-signalled": "`tests/integration/test_search_on_ray.py`",
    "tracking": "`tests/integration/test_tracking.py`, `test_tracking_postgresql.py`, "
    "`test_tracking_remote.py`",
    "data-wrong": "`tests/unit/data/`, `tests/contracts/test_data_sets.py`",
}


@dataclass(frozen=True)
class Snapshot:
    """A search's record at a moment, and how many epochs of each trial had been started."""

    recorded: Recorded
    started: dict[int, int]


def snapshot(runs_dir: Path) -> Snapshot:
    """The only search of a folder as it stands."""
    now = recorded(runs_dir)
    counted = now.paths.epochs_started()
    started = {t.number: counted.get(t.number, 0) for t in now.trials}
    return Snapshot(now, started)


@dataclass(frozen=True)
class Account:
    """What faults cost.

    Attributes:
        repeated: Epochs that were started more than once, of trials that came to their end.
        lost: Epochs that were recorded and are gone, and finished trials that changed.
        doubled: Epochs recorded twice, and finished trials that were trained again.
    """

    trials: int = 0
    attempts: int = 0
    repeated: int = 0
    lost: int = 0
    doubled: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def account_of(before: Iterable[Snapshot], end: Snapshot) -> Account:
    """Compare what was there at faults with what is there at the end."""
    rows = {row[0]: row for row in end.recorded.table}
    lost = doubled = 0
    for earlier in before:
        for trial, row in zip(earlier.recorded.trials, earlier.recorded.table, strict=True):
            now = rows.get(trial.number)
            if now is None or not trial.is_finished:
                kept = now[-1][: len(trial.epochs)] if now else []
                lost += sum(epoch not in kept for epoch in row[-1])
            else:
                lost += now != row
                doubled += end.started[trial.number] != earlier.started[trial.number]
    repeated = 0
    for trial in end.recorded.trials:
        epochs = [epoch.epoch for epoch in trial.epochs]
        doubled += len(epochs) - len(set(epochs))
        lost += len(set(range(1, len(epochs) + 1)) - set(epochs))
        if trial.outcome in ("completed", "stopped", "diverged"):
            repeated += end.started[trial.number] - len(epochs)
    attempts = sum(len(trial.attempts) for trial in end.recorded.trials)
    return Account(len(end.recorded.trials), attempts, repeated, lost, doubled)


@dataclass(frozen=True)
class Measured:
    """One row: what was injected how often, and what came of it; None where it has no meaning."""

    fault: str
    injected: str
    times: int
    seen: str
    account: Account | None = None
    test: str = ""


@dataclass
class FaultTable:
    """Collects what tests measure."""

    rows: list[Measured] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def merge(self, earlier: Iterable[dict[str, Any]]) -> None:
        """Take over what earlier runs measured by tests that are still there and did not run."""
        measured = {row.test for row in self.rows}
        kept = [
            Measured(**row | {"account": None if account is None else Account(**account)})
            for row in earlier
            if row["test"] not in measured and _is_there(row["test"])
            for account in [row["account"]]
        ]
        self.rows = sorted([*kept, *self.rows], key=lambda row: row.test)

    def add(
        self, fault: str, injected: str, times: int, seen: str, account: Account | None = None
    ) -> None:
        """A fault was injected so many times."""
        assert fault in FAULTS
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
        self.rows.append(Measured(fault, injected, times, seen, account, test))

    def skip(self, fault: str, reason: str) -> None:
        """It cannot be injected here."""
        self.skipped[fault] = reason

    @property
    def not_measured(self) -> list[str]:
        """Faults that no test has measured, referred to, or skipped with a reason."""
        there = {row.fault for row in self.rows} | ELSEWHERE.keys() | self.skipped.keys()
        return [fault for fault in FAULTS if fault not in there]

    def render(self) -> str:
        """The README."""
        lines = [_HEAD.format(machine=_machine())]
        for key, (fault, must) in FAULTS.items():
            lines += [f"## {fault[0].upper()}{fault[1:]}", "", f"Must: {must}.", ""]
            rows = [row for row in self.rows if row.fault == key]
            if rows:
                lines += [_TITLES, "|---|--:|--:|--:|--:|--:|--:|---|"]
                lines += [_line(row) for row in rows]
            if key in self.skipped:
                lines += [""] * bool(rows) + [f"Not all measured here: {self.skipped[key]}."]
            if key in ELSEWHERE:
                lines += [""] * bool(rows) + [f"Tested in {ELSEWHERE[key]}."]
            lines.append("")
        return "\n".join(lines)


def _is_there(test: str) -> bool:
    """Whether a test that measured something once still exists."""
    path, _, name = test.partition("::")
    source = Path(path)
    return source.is_file() and f"def {name.partition('[')[0]}(" in source.read_text()


def _line(row: Measured) -> str:
    counts = ("–",) * 5 if row.account is None else map(str, astuple(row.account))
    return f"| {row.injected} | {row.times} | {' | '.join(counts)} | {row.seen} |"


def _machine() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("ray", "optuna", "torch"))
    return (
        f"{os.cpu_count()} processor cores ({platform.machine()}), Python "
        f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}"
    )


_TITLES = "| injected | times | trials | attempts | repeated | lost | doubled | what was seen |"
_HEAD = """# Faults, injected for real

`make chaos` injects the faults that have a table below, asserts what must happen, and writes
this file; a fault that is tested elsewhere says where. What takes seconds runs with every
`make test`; what takes longer does not, nor does anything of `test_on_ray.py`,
`test_tracking_faults.py`, `test_postgresql.py` and `test_store_down.py`. Rows may come from
several runs: a test that did not run again keeps its own. The last run was on {machine}.

*Times*: faults injected. *Trials*, *attempts*: of the searches that suffered them. *Repeated*:
epochs that were trained more than once. *Lost*: recorded epochs that are gone afterwards, and
finished trials that changed. *Doubled*: epochs recorded twice, and finished trials that were
trained again.
"""
