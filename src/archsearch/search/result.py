"""How a search stands when its command ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archsearch.errors import NoTrialSucceededError
from archsearch.record.database import Database
from archsearch.record.outbox import Outbox
from archsearch.record.paths import SearchPaths
from archsearch.record.reader import read_refusals, read_trials
from archsearch.record.trial import SearchRow, TrialRecord, incumbent, leaderboard
from archsearch.search.plan import Plan


@dataclass(frozen=True)
class SearchResult:
    """What a search has found so far, and where everything is.

    Attributes:
        name: The search's name.
        ending: Why the command ended, for a person.
        finished: Whether nothing of what was asked for is left to do.
        seconds: Time the search has run, over all its commands.
        num_refused: Draws that were above a cap or repeated a trial.
        worker_logs: Ray's own log folder, if trials ran in this command.
        undelivered: Messages that the tracking store has not received yet.
        exit_code: 0; 4 when no trial completed; 130 or 143 after a signal.
    """

    name: str
    ending: str
    finished: bool
    seconds: float
    trials: list[TrialRecord]
    num_refused: int
    paths: SearchPaths
    tracking: str
    worker_logs: str | None
    undelivered: int
    exit_code: int

    @property
    def incumbent(self) -> TrialRecord | None:
        """The best trial at full fidelity."""
        return incumbent(self.trials)

    @property
    def leaderboard(self) -> list[TrialRecord]:
        """All completed trials, best first."""
        return leaderboard(self.trials)

    @property
    def best_of_family(self) -> dict[str, TrialRecord]:
        """The best completed trial of each family that has one, best family first."""
        return best_of_family(self.trials)


def best_of_family(trials: list[TrialRecord]) -> dict[str, TrialRecord]:
    """The best completed trial of each family that has one, best family first."""
    best: dict[str, TrialRecord] = {}
    for trial in leaderboard(trials):
        best.setdefault(trial.family, trial)
    return best


def read_result(
    database: Database,
    search: SearchRow,
    plan: Plan,
    *,
    ending: str | None = None,
    worker_logs: str | None = None,
    signal_code: int | None = None,
) -> SearchResult:
    """The search as its record has it now.

    Args:
        database: The record.
        search: The search's row of now.
        plan: What its command asked for.
        ending: Instead of the recorded one.
        worker_logs: See `SearchResult`.
        signal_code: The exit code after a signal.
    """
    trials = read_trials(database, search.id)
    outcome_code = 0 if leaderboard(trials) else NoTrialSucceededError.exit_code
    return SearchResult(
        name=search.name,
        ending=ending or search.ending or "",
        finished=search.finished,
        seconds=search.seconds,
        trials=trials,
        num_refused=len(read_refusals(database, search.id)),
        paths=plan.paths,
        tracking=plan.store.label,
        worker_logs=worker_logs,
        undelivered=Outbox(database, search.id).count_waiting(),
        exit_code=outcome_code if signal_code is None else signal_code,
    )


def summary_of(trials: list[TrialRecord], paths: SearchPaths) -> dict[str, Any]:
    """What tracking is told when a driver ends: the leaderboard, and the best files."""
    return {
        "leaderboard": [
            {
                "number": trial.number,
                "name": trial.name,
                "family": trial.family,
                "val_accuracy": trial.val_accuracy,
                "params": trial.complexity["params"],
                "macs": trial.complexity["macs"],
            }
            for trial in leaderboard(trials)
        ],
        "checkpoints": [
            {
                "number": trial.number,
                "path": str(
                    (
                        paths.trial(trial.number).checkpoints / str(trial.epochs[-1].checkpoint)
                    ).absolute()
                ),
            }
            for trial in best_of_family(trials).values()
        ],
    }
