"""How a search stands when its command ends."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.record.paths import SearchPaths
from archsearch.record.trial import TrialRecord, incumbent, leaderboard


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
        best: dict[str, TrialRecord] = {}
        for trial in self.leaderboard:
            best.setdefault(trial.family, trial)
        return best
