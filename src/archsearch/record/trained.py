"""A recorded trial with the checkpoint that its last epoch left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.errors import NoTrialSucceededError, UnfitError, UsageError
from archsearch.record.database import Database
from archsearch.record.paths import SearchPaths
from archsearch.record.reader import read_trials
from archsearch.record.trial import SearchRow, TrialRecord, incumbent
from archsearch.schema import PreparedData
from archsearch.spaces.trial_config import TrialConfig
from archsearch.storage import StoragePath
from archsearch.training.checkpoint_file import Checkpoint, newest_valid

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TrainedTrial:
    """One trial and its verified checkpoint."""

    search: SearchRow
    trial: TrialRecord
    config: TrialConfig
    checkpoint: Checkpoint

    @property
    def data(self) -> PreparedData:
        """What it was trained on, as it was where it was trained."""
        return PreparedData.model_validate(self.search.settings["data"])

    def network(self) -> nn.Module:
        """The averaged network, on the processor, in evaluation mode."""
        from archsearch.training.state import load_averaged_model

        return load_averaged_model(self.config, self.checkpoint.payload())


def trained_trial(
    database: Database, search: SearchRow, paths: SearchPaths, number: int | None = None
) -> TrainedTrial:
    """A trial as far as it was trained; without a number the best of the completed ones.

    Raises:
        UsageError: There is no such trial.
        NoTrialSucceededError: No trial completed.
        UnfitError: No epoch of it was finished, or its checkpoint is not what the record says.
    """
    trials = read_trials(database, search.id)
    trial = _incumbent(search, trials) if number is None else _numbered(search, trials, number)
    checkpoint = _last_checkpoint(trial, paths.trial(trial.number).checkpoints)
    return TrainedTrial(search, trial, trial.config, checkpoint)


def _incumbent(search: SearchRow, trials: list[TrialRecord]) -> TrialRecord:
    best = incumbent(trials)
    if best is None:
        counts = Counter(trial.outcome or "unfinished" for trial in trials)
        told = ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common())
        raise NoTrialSucceededError(
            f"no trial of {search.name!r} was trained to the end ({told or 'it has none'})"
        )
    return best


def _numbered(search: SearchRow, trials: list[TrialRecord], number: int) -> TrialRecord:
    for trial in trials:
        if trial.number == number:
            return trial
    known = f"it has trials 0 to {trials[-1].number}" if trials else "it has none"
    raise UsageError(f"there is no trial {number} in {search.name!r}: {known}")


def _last_checkpoint(trial: TrialRecord, folder: StoragePath) -> Checkpoint:
    """The checkpoint after the last recorded epoch; of a running trial it may be a later one."""
    if not trial.epochs:
        told = f"{trial.outcome}: {trial.reason}" if trial.outcome else "it has not begun"
        raise UnfitError(f"trial {trial.number} ({trial.name}) has no finished epoch ({told})")
    recovery = newest_valid(folder, trial.attempts, trial.config.seeded_digest)
    found, last = recovery.checkpoint, trial.epochs[-1]
    if found is None or found.header.epoch < last.epoch:
        skipped = "; ".join(recovery.skipped) or f"{folder} does not hold it"
        raise UnfitError(
            f"the checkpoint of trial {trial.number} ({trial.name}) after epoch {last.epoch} "
            f"cannot be used: {skipped}; restore the folder from a copy"
        )
    is_same = found.header.epoch == last.epoch
    if is_same and last.checksum not in (None, found.header.payload_sha256):
        raise UnfitError(
            f"{found.path} is whole, but it is not the file that the record knows (its checksum "
            f"is {found.header.payload_sha256[:12]}, recorded is {str(last.checksum)[:12]}); "
            "restore the folder from a copy"
        )
    return found
