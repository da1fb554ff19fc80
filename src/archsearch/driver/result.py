"""How a search stands when its command ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from archsearch.analysis.finalists import Confirmed
from archsearch.analysis.winner import (
    Winner,
    confirmed_row,
    finalists_of,
    find_winner,
    no_better_than_constant,
    standing_json,
)
from archsearch.driver.plan import Plan
from archsearch.errors import NoTrialSucceededError
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import CheckpointFile, LeaderboardRow, SearchEnded
from archsearch.record.paths import SearchPaths
from archsearch.record.reader import read_refusals, read_trials
from archsearch.record.trial import (
    SearchRow,
    TrialRecord,
    confirm_runs,
    incumbent,
    leaderboard,
    search_trials,
    whole_space_of,
)

Summary = TypeVar("Summary", bound=SearchEnded)


@dataclass(frozen=True)
class SearchResult:
    """What a search has found so far, and where everything is.

    Attributes:
        name: The search's name.
        ending: Why the command ended, for a person.
        finished: Whether nothing of what was asked for is left to do.
        seconds: Time the search has run, over all its commands.
        num_asked: Search trials that were asked for; a space may have fewer to offer.
        whole_space: That every member of the space was tried, in a sentence, where it is so.
        num_refused: Draws that were above a cap or repeated a trial.
        last_refusal: Why the newest of them was refused; None without any.
        caution: That the best is not better than one answer for all images, where it is so.
        confirmed: What the confirm runs say of each finalist, best first.
        winner: Where all confirm runs have ended.
        record: Where the record is: a file, or a server's URL without its password.
        worker_logs: Ray's own log folder, if trials ran in this command.
        undelivered: Messages that the tracking store has not received yet.
        exit_code: 0; 4 when no trial completed; 130 or 143 after a signal.
    """

    name: str
    ending: str
    finished: bool
    seconds: float
    trials: list[TrialRecord]
    caution: str | None
    confirmed: list[Confirmed]
    winner: Winner | None
    num_asked: int
    whole_space: str | None
    num_refused: int
    last_refusal: str | None
    paths: SearchPaths
    record: str
    tracking: str
    worker_logs: str | None
    undelivered: int
    exit_code: int

    def as_json(self) -> dict[str, Any]:
        """The result as one JSON object; trials are in `pipeline.status --json`."""
        best = self.incumbent
        return {
            "name": self.name,
            "finished": self.finished,
            "ending": self.ending,
            "whole_space": self.whole_space,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "outcomes": dict(Counter(t.outcome or "unfinished" for t in self.search_trials)),
            "refused": self.num_refused,
            "incumbent": None
            if best is None
            else {
                "number": best.number,
                "name": best.name,
                best.objective.metric: best.value,
            },
            "caution": self.caution,
            **standing_json(self.confirmed, self.winner),
            "undelivered": self.undelivered,
            "folder": str(self.paths.root),
        }

    @property
    def search_trials(self) -> list[TrialRecord]:
        """The trials that the search proposed."""
        return search_trials(self.trials)

    @property
    def confirm_runs(self) -> list[TrialRecord]:
        """The runs that repeat finalists."""
        return confirm_runs(self.trials)

    @property
    def incumbent(self) -> TrialRecord | None:
        """The best search trial at full fidelity."""
        return incumbent(self.trials)

    @property
    def leaderboard(self) -> list[TrialRecord]:
        """All completed search trials, best first."""
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
    refusals = read_refusals(database, search.id)
    outcome_code = 0 if leaderboard(trials) else NoTrialSucceededError.exit_code
    return SearchResult(
        name=search.name,
        ending=ending or search.ending or "",
        finished=search.finished,
        seconds=search.seconds,
        trials=trials,
        caution=no_better_than_constant(search, trials),
        confirmed=finalists_of(search, trials),
        winner=find_winner(database, search, trials),
        num_asked=plan.request.trials,
        whole_space=whole_space_of(search),
        num_refused=len(refusals),
        last_refusal=refusals[-1].reason if refusals else None,
        paths=plan.paths,
        record=database.label,
        tracking=plan.store.label,
        worker_logs=worker_logs,
        undelivered=Deliveries(database, search.id, plan.store.key).count_waiting(),
        exit_code=outcome_code if signal_code is None else signal_code,
    )


def summary_of(
    kind: type[Summary],
    search: SearchRow,
    trials: list[TrialRecord],
    paths: SearchPaths,
    winner: Winner | None,
    reports: Sequence[str] = (),
) -> Summary:
    """What tracking is told when a driver ends: leaderboard, winner, and the best files.

    Args:
        kind: Of the message.
        search: As its driver leaves it.
        trials: All of its.
        paths: Its files.
        winner: Where all confirm runs have ended.
        reports: Absolute paths of the report's files.
    """
    best = list(best_of_family(trials).values())
    return kind(
        objective=search.objective.metric,
        finished=search.finished,
        ending=search.ending or "",
        leaderboard=tuple(
            LeaderboardRow(
                number=trial.number,
                name=trial.name,
                family=trial.family,
                value=trial.value,
                params=trial.complexity.params,
                macs=trial.complexity.macs,
            )
            for trial in leaderboard(trials)
        ),
        confirmed=tuple(confirmed_row(entry) for entry in finalists_of(search, trials)),
        winner=None if winner is None else winner.as_row(),
        checkpoints=tuple(
            CheckpointFile(number=trial.number, path=_last_checkpoint(trial, paths))
            for trial in (best if winner is None else [*best, winner.model])
        ),
        reports=tuple(reports),
    )


def _last_checkpoint(trial: TrialRecord, paths: SearchPaths) -> str:
    name = str(trial.epochs[-1].checkpoint)
    return str((paths.trial(trial.number).checkpoints / name).absolute())
