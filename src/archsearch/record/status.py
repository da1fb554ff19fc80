"""How searches stand, for people and programs; needs neither Ray nor a lease."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from archsearch.command_line import command_line
from archsearch.errors import ArchsearchError, UsageError, nearest_names
from archsearch.phrases import plural
from archsearch.record import lease
from archsearch.record.database import Database
from archsearch.record.deliveries import (
    OWN_STORE,
    Deliveries,
    DeliveryState,
    delivery_states,
)
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.reader import get_search, read_refusals, read_trials, search_names
from archsearch.record.readings import TestReading, read_readings
from archsearch.record.requests import is_paused
from archsearch.record.trial import (
    Refusal,
    SearchRow,
    TrialRecord,
    confirm_runs,
    incumbent,
    search_trials,
)
from archsearch.sqlite_files import sqlite_uri
from archsearch.storage import StorageError

State = Literal["running", "interrupted", "finished"]


@dataclass(frozen=True)
class SearchStatus:
    """One search as it stands."""

    search: SearchRow
    state: State
    trials: list[TrialRecord]
    refusals: list[Refusal]
    deliveries: list[DeliveryState]
    undelivered: int
    paths: SearchPaths
    readings: list[TestReading] = field(default_factory=list)
    is_paused: bool = False

    @property
    def outcomes(self) -> dict[str, int]:
        """How many search trials ended how; `unfinished` for those without an outcome."""
        searched = search_trials(self.trials)
        return dict(Counter(trial.outcome or "unfinished" for trial in searched))

    def as_json(self) -> dict[str, Any]:
        """The status as one JSON object; a trial's outcome is null while it is unfinished.

        `epochs_trained`, repeated ones included, is null where the trials' files are not reached.
        """
        best = incumbent(self.trials)
        started = self._epochs_started()

        def told(trial: TrialRecord) -> dict[str, Any]:
            number = None if started is None else started.get(trial.number, 0)
            return _trial_json(trial) | {"epochs_trained": number}

        return {
            "name": self.search.name,
            "uuid": self.search.uuid,
            "state": self.state,
            "paused": self.is_paused,
            "ending": self.search.ending,
            "seconds": round(self.search.seconds, 3),
            "driver": lease.describe(self.search.holder)
            if self.search.holder and self.state == "running"
            else None,
            "identity": self.search.identity.as_json(),
            "settings": self.search.settings.as_json(),
            "outcomes": self.outcomes,
            "trials": [told(trial) for trial in self.trials],
            "refused": len(self.refusals),
            "refusals": [vars(refusal) for refusal in self.refusals],
            "incumbent": told(best) if best else None,
            "undelivered": self.undelivered,
            "tracking": [vars(delivery) for delivery in self.deliveries],
            "folder": str(self.paths.root),
        }

    def _epochs_started(self) -> dict[int, int] | None:
        try:
            return self.paths.epochs_started()
        except StorageError:
            return None


def _trial_json(trial: TrialRecord) -> dict[str, Any]:
    return {
        "number": trial.number,
        "family": trial.family,
        "name": trial.name,
        "outcome": trial.outcome,
        "reason": trial.reason,
        "arm": trial.arm,
        "epochs": len(trial.epochs),
        trial.objective.metric: trial.value,
        "rung_epochs": trial.rung_epochs,
        "shadow_rung_epochs": trial.shadow_rung_epochs,
        "attempts": len(trial.attempts),
        "params": trial.params,
        "complexity": trial.complexity.as_json(),
    }


def search_status(runs: RunsFolder, name: str, database_url: str | None = None) -> SearchStatus:
    """How one search stands.

    Raises:
        UsageError: There is no such search.
        UnfitError: Its record cannot be read.
    """
    database = existing_record(runs, name, database_url)
    try:
        search = get_search(database, name)
        deliveries = delivery_states(database, search.id)
        state = state_of(database, search)
        return SearchStatus(
            search=search,
            state=state,
            is_paused=state == "running" and is_paused(database, search.id),
            trials=read_trials(database, search.id),
            refusals=read_refusals(database, search.id),
            deliveries=deliveries,
            undelivered=deliveries[0].waiting
            if deliveries
            else Deliveries(database, search.id, "").count_waiting(),
            paths=runs.of(search),
            readings=read_readings(database, search.id),
        )
    finally:
        database.close()


def existing_record(
    runs: RunsFolder, name: str, database_url: str | None = None, *, read_only: bool = True
) -> Database:
    """The record that should know a search; the caller closes it.

    Args:
        runs: The folder of all searches.
        name: The search's.
        database_url: Of the record, where it is on a server.
        read_only: Whether the caller writes nothing.

    Raises:
        UsageError: The folder has no search of that name, or the URL cannot be read.
        UnfitError: The record cannot be used.
    """
    paths = runs.search(name)
    if database_url is None and not paths.database.is_file():
        raise UsageError(
            f"there is no search {name!r} in {runs.root}: {nearest_names(name, runs.names())}"
        )
    return Database.open(database_url or paths.database, create=False, read_only=read_only)


def state_of(database: Database, search: SearchRow) -> State:
    """Whether a driver runs the search, and if not, whether something is left to do."""
    if lease.is_live(database, search.id):
        return "running"
    return "finished" if search.finished else "interrupted"


def all_statuses(
    runs: RunsFolder, database_url: str | None = None
) -> tuple[list[SearchStatus], list[ArchsearchError]]:
    """How all searches of a folder or a server stand, and what is wrong with those unreadable.

    Raises:
        UsageError: The URL cannot be read.
        UnfitError: The folder or the server cannot be read.
    """
    names = runs.names() if database_url is None else _names_on_server(database_url)
    readable, errors = [], []
    for name in names:
        try:
            readable.append(search_status(runs, name, database_url))
        except ArchsearchError as error:
            errors.append(error)
    return readable, errors


def _names_on_server(url: str) -> list[str]:
    database = Database.open(url, create=False, read_only=True)
    try:
        return search_names(database)
    finally:
        database.close()


def render(status: SearchStatus) -> str:
    """One search for a person: where it stands, then a line a trial."""
    search = status.search
    is_held = status.state == "running" and search.holder is not None
    who = f" by {lease.describe(search.holder or {})}" if is_held else ""
    counted = ", ".join(f"{n} {outcome}" for outcome, n in sorted(status.outcomes.items()))
    again = len(confirm_runs(status.trials))
    lines = [
        f"{search.name}: {status.state}{who}; {plural(len(status.trials) - again, 'trial')} "
        f"({counted or 'none'}), "
        + (f"{plural(again, 'confirm run')}, " if again else "")
        + f"{plural(len(status.refusals), 'draw')} refused, {search.seconds:.0f} s",
    ]
    if status.is_paused:
        again_command = command_line("control", search.name, "unpause", *_folder(status.paths))
        lines.append(f"paused by `pipeline.control`; to go on: {again_command}")
    if search.ending:
        lines.append(f"last ending: {search.ending}")
    runs = RunsFolder(status.paths.root.parent)
    if status.undelivered:
        lines.append(
            f"{plural(status.undelivered, 'message')} not delivered to tracking yet: "
            + command_line("track", search.name, "--runs-dir", runs.root)
        )
    lines += delivery_lines(status.deliveries, search.name, runs)
    for trial in status.trials:
        unit = "epoch" if len(trial.epochs) == 1 else "epochs"
        line = (
            f"  {trial.number:4} {trial.name:28} {trial.arm:8} {trial.outcome or 'unfinished':13} "
            f"{len(trial.epochs):4} {unit:6}  {trial.shown_value:>6}  {trial.reason or ''}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def _folder(paths: SearchPaths) -> list[str]:
    """The option that names the runs folder, where it is not the usual one."""
    root = paths.root.parent
    return [] if root == Path("runs") else ["--runs-dir", str(root)]


def delivery_lines(states: Sequence[DeliveryState], name: str, runs: RunsFolder) -> list[str]:
    """What the tracking stores of a search refused, and what those lack that are not in use."""
    lines = []
    for state in states:
        is_own = state.destination == OWN_STORE
        label = str(runs.mlflow) if is_own else state.destination
        if state.parked:
            lines.append(
                f"{plural(state.parked, 'message')} refused for good by tracking at {label}"
            )
        if state.waiting and not state.is_current:
            uri = sqlite_uri(runs.mlflow.resolve() / "mlflow.db") if is_own else label
            lines.append(
                f"{plural(state.waiting, 'message')} not delivered to the earlier tracking at "
                f"{label}: "
                + command_line("track", name, "--runs-dir", runs.root, "--tracking-uri", uri)
            )
    return lines


def render_overview(all_searches: list[SearchStatus], runs: RunsFolder) -> str:
    """All searches, a line each."""
    if not all_searches:
        start = command_line("search", "--space", "wrn_vs_resnext")
        return f"no searches in {runs.root}; start one: {start}"
    lines = []
    for status in all_searches:
        best = incumbent(status.trials)
        told = f"best {best.name} {best.shown_value}" if best else "nothing completed"
        num_trials = len(search_trials(status.trials))
        state = "paused" if status.is_paused else status.state
        lines.append(
            f"{status.search.name:40} {state:12} {num_trials:5} "
            f"{'trial ' if num_trials == 1 else 'trials'}  {told}"
        )
    return "\n".join(lines)
