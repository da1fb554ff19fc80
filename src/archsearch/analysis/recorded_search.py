"""Everything that a search left behind, read once: what reports and notebooks are made from."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from archsearch.analysis.winner import Winner, find_winner
from archsearch.errors import UnfitError
from archsearch.record.attempts import (
    AttemptRecord,
    read_attempts,
    read_code_version,
    read_earlier_code,
    workers_in_log,
)
from archsearch.record.database import Database, now_ms
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.reader import get_search, read_refusals, read_trials
from archsearch.record.status import State, existing_record, state_of
from archsearch.record.trial import Refusal, SearchRow, TrialRecord
from archsearch.spaces.space import SearchSpace

_LOGS_AT_A_TIME = 16
"""An object store answers many small requests at once as fast as one."""


@dataclass(frozen=True)
class RecordedSearch:
    """One search as its record and its files have it at one moment.

    Attributes:
        search: The search as a whole.
        state: Whether a driver runs it.
        trials: By number, confirm runs included.
        refusals: Draws that took no number.
        attempts: By trial and attempt.
        winner: Of the confirm runs, once all have ended, with its reading of the test split.
        code: Release, commit and libraries of the newest driver, where known.
        all_code: The same of each driver, oldest first.
        paths: Its files.
        read_ms: When it was read.
    """

    search: SearchRow
    state: State
    trials: list[TrialRecord]
    refusals: list[Refusal]
    attempts: list[AttemptRecord]
    winner: Winner | None
    code: dict[str, str]
    all_code: list[dict[str, str]]
    paths: SearchPaths
    read_ms: int

    @cached_property
    def space(self) -> SearchSpace | None:
        """The space as it was recorded; None where this release cannot read it."""
        try:
            return SearchSpace.model_validate(self.search.space)
        except (ValidationError, ValueError):
            return None

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials could be stopped, ascending."""
        return self.search.settings.rungs

    @property
    def reduction_factor(self) -> int:
        """About one trial in so many goes on from each rung."""
        return int((self.search.space.get("fidelity") or {}).get("reduction_factor") or 3)

    @cached_property
    def max_epochs(self) -> int:
        """Epochs of full fidelity."""
        recorded = (trial.config.max_epochs for trial in self.trials)
        return max(recorded, default=self.search.identity.max_epochs)

    @cached_property
    def searched(self) -> list[TrialRecord]:
        """The trials that the search proposed: all but confirm runs, which repeat some of them."""
        return [trial for trial in self.trials if trial.arm != "confirm"]

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The families of the space and of the trials, sorted: their order in every figure."""
        names = set(self.search.space.get("families") or ()) | {t.family for t in self.trials}
        return tuple(sorted(names))

    @cached_property
    def epochs_started(self) -> dict[int, int]:
        """Epochs that workers started, repeated ones included, by trial; empty without files."""
        try:
            return self.paths.epochs_started()
        except (OSError, UnfitError):
            return {}

    @cached_property
    def workers(self) -> dict[tuple[int, int], str]:
        """Which worker made an attempt, by trial and attempt, as far as the logs are here."""
        known = {trial.number: self.paths.trial(trial.number).log for trial in self.trials}
        there = [number for number in self.epochs_started if number in known]
        try:
            with ThreadPoolExecutor(_LOGS_AT_A_TIME) as readers:
                logs = list(readers.map(lambda number: workers_in_log(known[number]), there))
        except UnfitError:
            return {}
        return {
            (number, attempt): worker
            for number, log in zip(there, logs, strict=True)
            for attempt, worker in log.items()
        }


def read_recorded_search(
    database: Database,
    search: SearchRow,
    paths: SearchPaths,
    state: State,
    trials: Sequence[TrialRecord] | None = None,
) -> RecordedSearch:
    """A search from an open record.

    Args:
        database: The record.
        search: The search's row.
        paths: Its files.
        state: Whether a driver runs it.
        trials: The trials, where the caller has read them.

    Raises:
        UnfitError: The record cannot be read.
    """
    # Attempts first: each one's trial is then among the trials read later.
    attempts = read_attempts(database, search.id)
    known = read_trials(database, search.id) if trials is None else list(trials)
    return RecordedSearch(
        search=search,
        state=state,
        trials=known,
        refusals=read_refusals(database, search.id),
        attempts=attempts,
        winner=find_winner(database, search, known),
        code=read_code_version(database, search.id),
        all_code=read_earlier_code(database, search.id),
        paths=paths,
        read_ms=now_ms(),
    )


def recorded_search_of(
    name: str, runs_dir: Path | str, database: str | None = None
) -> RecordedSearch:
    """A search by name.

    Args:
        name: The search's name.
        runs_dir: The folder of all searches.
        database: The record's URL, where it is on a server.

    Raises:
        UsageError: There is no such search.
        UnfitError: Its record cannot be read.
    """
    runs = RunsFolder(Path(runs_dir))
    record = existing_record(runs, name, database)
    try:
        search = get_search(record, name)
        return read_recorded_search(record, search, runs.of(search), state_of(record, search))
    finally:
        record.close()
