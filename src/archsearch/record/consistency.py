"""Is a search's record as new as its files? An older copy would lose trials in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archsearch.errors import UnfitError
from archsearch.record.paths import SearchPaths
from archsearch.record.trial import TrialRecord
from archsearch.training.checkpoint_file import parse_checkpoint_name


def check_record_is_there(paths: SearchPaths, database: Path | str) -> None:
    """Refuse to begin anew beside the trials of a record that is gone.

    Raises:
        UnfitError: The folder has trials, but the record's file is missing or empty.
    """
    if not isinstance(database, Path) or not any(paths.trials.glob("*")):
        return
    if not database.is_file() or not database.stat().st_size:
        raise UnfitError(
            f"{paths.trials} holds trials, but their record {database} is gone or empty; restore "
            f"it from a copy, or move {paths.root} away to begin anew"
        )


def check_record_is_newest(paths: SearchPaths, trials: Sequence[TrialRecord]) -> None:
    """Refuse a record that does not know trials or attempts whose files are there.

    Raises:
        UnfitError: It does not; the sentence names the first that it does not know.
    """
    known = {paths.trial(trial.number).root.name: trial for trial in trials}
    for folder in sorted(paths.trials.glob("[0-9]*")):
        trial = known.get(folder.name)
        if trial is None:
            raise UnfitError(_older(paths, f"it does not know trial {int(folder.name)}"))
        attempts = (parse_checkpoint_name(path.name) for path in folder.glob("*.ckpt"))
        unknown = sorted({a[1] for a in attempts if a is not None} - trial.attempts.keys())
        if unknown:
            told = f"it does not know attempt {unknown[0]} of trial {trial.number}"
            raise UnfitError(_older(paths, told))


def _older(paths: SearchPaths, told: str) -> str:
    return (
        f"the record of {paths.name} is older than its files: {told}, whose folder is in "
        f"{paths.trials}; restore the newest copy of the record (search.db together with "
        "search.db-wal), or move what it does not know away"
    )
