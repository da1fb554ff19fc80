"""Is a search's record whole, and as new as its files? Trials must not be lost in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archsearch.errors import UnfitError
from archsearch.record.cells import finite
from archsearch.record.paths import SearchPaths
from archsearch.record.trial import TrialRecord
from archsearch.training.checkpoint_file import parse_checkpoint_name


def check_record_is_there(paths: SearchPaths, database: Path | str) -> None:
    """Refuse to begin anew beside the trials of a record that is gone.

    Raises:
        UnfitError: The folder has trials, but the record's file is missing or empty.
    """
    if not isinstance(database, Path) or not paths.trials.tree():
        return
    if not database.is_file() or not database.stat().st_size:
        raise UnfitError(
            f"{paths.trials} holds trials, but their record {database} is gone or empty; restore "
            f"it from a copy, or to begin anew move {_folder(paths)} away"
            + (" or choose another --name" if paths.storage is not None else "")
        )


def check_record(paths: SearchPaths, trials: Sequence[TrialRecord]) -> None:
    """Refuse a record that is damaged or older than the search's files.

    Raises:
        UnfitError: It is; see `check_record_is_sound` and `check_record_is_newest`.
    """
    check_record_is_sound(paths, trials)
    check_record_is_newest(paths, trials)


def check_record_is_newest(paths: SearchPaths, trials: Sequence[TrialRecord]) -> None:
    """Refuse a record that does not know trials or attempts whose files are there.

    Raises:
        UnfitError: It does not; the sentence names the first that it does not know.
    """
    known = {paths.trial(trial.number).root.name: trial for trial in trials}
    for path in sorted(paths.trials.tree()):
        folder, _, name = path.partition("/")
        if not folder.isdecimal():
            continue
        trial = known.get(folder)
        if trial is None:
            raise UnfitError(_older(paths, f"it does not know trial {int(folder)}"))
        attempt = parse_checkpoint_name(name)
        if attempt is not None and attempt[1] not in trial.attempts:
            told = f"it does not know attempt {attempt[1]} of trial {trial.number}"
            raise UnfitError(_older(paths, told))


def check_record_is_sound(paths: SearchPaths, trials: Sequence[TrialRecord]) -> None:
    """Refuse a record whose parts contradict each other: a damaged file can look like one.

    Most of what a search rests on is recorded twice or follows from the rest.

    Raises:
        UnfitError: They do; the sentence names the first trial that contradicts them.
    """
    for number, trial in enumerate(trials):
        told = _contradiction(number, trial)
        if told is not None:
            raise UnfitError(
                f"the record of {paths.name} contradicts itself: {told}; it is damaged: restore a "
                "copy of the search's folder, or start another search by --name"
            )


def _contradiction(number: int, trial: TrialRecord) -> str | None:
    if trial.number != number:
        return f"trial {number} is missing"
    who = f"trial {number}"
    if trial.config.digest != trial.config_digest:
        return f"the configuration of {who} is not that of its digest"
    if [epoch.epoch for epoch in trial.epochs] != list(range(1, len(trial.epochs) + 1)):
        return f"the epochs of {who} are not all there"
    of = trial.objective.of
    if any(epoch.value != finite(of(epoch.result)) for epoch in trial.epochs):
        return f"{who} has two values of its {trial.objective.short} for one epoch"
    if trial.outcome == "completed" and len(trial.epochs) != trial.config.max_epochs:
        return f"{who} is completed after {len(trial.epochs)} of {trial.config.max_epochs} epochs"
    if trial.outcome == "stopped" and len(trial.epochs) != trial.rung_epochs:
        return f"{who} was stopped after {len(trial.epochs)} epochs, or at {trial.rung_epochs}"
    return None


def _folder(paths: SearchPaths) -> str:
    """The folder that holds the trials and, without a storage, all else."""
    return str(paths.root if paths.storage is None else paths.storage / paths.name)


def _older(paths: SearchPaths, told: str) -> str:
    return (
        f"the record of {paths.name} is older than its files: {told}, whose folder is in "
        f"{paths.trials}; restore the newest copy of the record (search.db together with "
        "search.db-wal), or move what it does not know away"
    )
