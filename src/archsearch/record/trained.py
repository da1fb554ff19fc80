"""A recorded trial with the checkpoint that its last epoch left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archsearch.errors import (
    NoTrialSucceededError,
    PromotionRefusedError,
    UnfitError,
    UsageError,
)
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.reader import read_trials
from archsearch.record.readings import Subject
from archsearch.record.trial import SearchRow, TrialRecord, incumbent
from archsearch.schema import PreparedData
from archsearch.spaces.trial_config import TrialConfig
from archsearch.storage import StoragePath
from archsearch.training.checkpoint_file import Checkpoint, newest_valid

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TrainedTrial:
    """One trial, its verified checkpoint and its data.

    Attributes:
        search: Whose it is.
        trial: What the record says of it.
        checkpoint: After its last recorded epoch, or a later one of a trial that runs.
        data: What it was trained on: as it was where that was, or here; see `find_candidate`.
    """

    search: SearchRow
    trial: TrialRecord
    checkpoint: Checkpoint
    data: PreparedData

    @property
    def config(self) -> TrialConfig:
        """What was trained."""
        return self.trial.config

    @property
    def checksum(self) -> str:
        """SHA-256 of the checkpoint's payload: what makes two trained trials the same model."""
        return self.checkpoint.header.payload_sha256

    @property
    def key(self) -> str:
        """The unique tag of its logged model and model version."""
        return f"{self.search.uuid}/trial-{self.trial.number}/model-{self.checksum[:16]}"

    @property
    def subject(self) -> Subject:
        """What its reading of the test split is filed under."""
        return Subject(self.trial.number, self.checksum, self.data.digest)

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
    return TrainedTrial(search, trial, checkpoint, search.settings.data)


def find_candidate(
    database: Database, search: SearchRow, runs: RunsFolder, number: int | None = None
) -> TrainedTrial:
    """A completed trial of a search, with its data on this machine: what can be promoted.

    Args:
        database: The record.
        search: Whose trial.
        runs: Where its files are.
        number: Which trial; by default the best one by the search's objective.

    Raises:
        UsageError: There is no such trial.
        NoTrialSucceededError: No trial completed.
        PromotionRefusedError: The trial was not trained to the end.
        UnfitError: Its checkpoint or its data is not here, or is not what the record says.
    """
    from archsearch.record.test_split import data_on_this_machine

    if number is not None:
        _require_completed(search, read_trials(database, search.id), number)
    found = trained_trial(database, search, runs.of(search), number)
    return replace(found, data=data_on_this_machine(search, runs))


def _require_completed(search: SearchRow, trials: list[TrialRecord], number: int) -> None:
    for trial in trials:
        if trial.number == number and trial.outcome != "completed":
            raise PromotionRefusedError(
                f"trial {number} ({trial.name}) of {search.name!r} was not trained to the end "
                f"({trial.outcome or 'unfinished'}): only completed trials have a model to promote"
            )


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
