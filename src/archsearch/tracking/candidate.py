"""What a search has to offer for promotion: its best fully trained model, with its lineage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.data import DataSpec, PreparedData, load_test, prepare
from archsearch.errors import UnfitError
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.readings import Subject, TestReading, find_reading, keep_reading
from archsearch.record.trained import trained_trial
from archsearch.record.trial import SearchRow, TrialRecord
from archsearch.spaces.trial import TrialConfig
from archsearch.training.checkpoint_file import Checkpoint

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Candidate:
    """One completed trial, its verified checkpoint and its data."""

    search: SearchRow
    trial: TrialRecord
    config: TrialConfig
    checkpoint: Checkpoint
    data: PreparedData

    @property
    def checksum(self) -> str:
        """SHA-256 of the checkpoint's payload: what makes two candidates the same model."""
        return self.checkpoint.header.payload_sha256

    @property
    def key(self) -> str:
        """The unique tag of its logged model and model version."""
        return f"{self.search.uuid}/trial-{self.trial.number}/model-{self.checksum[:16]}"

    @property
    def subject(self) -> Subject:
        """What its reading of the test split is filed under."""
        return Subject(self.trial.number, self.checksum, self.data.digest)

    def model(self) -> nn.Module:
        """The averaged network, on the processor, in evaluation mode."""
        from archsearch.training.state import load_averaged_model

        return load_averaged_model(self.config, self.checkpoint.payload())


def find_candidate(database: Database, search: SearchRow, runs: RunsFolder) -> Candidate:
    """The best completed trial of a search, by validation accuracy at full fidelity.

    Raises:
        NoTrialSucceededError: No trial completed.
        UnfitError: Its checkpoint or its data is not here, or is not what the record says.
    """
    found = trained_trial(database, search, runs.search(search.name))
    return Candidate(search, found.trial, found.config, found.checkpoint, _data(search, runs))


def read_test_split(database: Database, candidate: Candidate, model: nn.Module) -> TestReading:
    """The candidate's answers on the test split: read once, afterwards taken from the record."""
    known = find_reading(database, candidate.search.id, candidate.subject)
    if known is not None:
        return known
    from archsearch.training.objective import answers_of, is_right
    from archsearch.training.predict import predict

    split, data = load_test(candidate.data), candidate.data
    logits = predict(model, split, mean=data.mean, std=data.std).cpu()
    answers = answers_of(logits, multi_label=data.multi_label)
    accuracy = float(is_right(logits, split.labels).double().mean())
    return keep_reading(
        database, candidate.search.id, candidate.subject, answers.numpy(), accuracy
    )


def _data(search: SearchRow, runs: RunsFolder) -> PreparedData:
    """The search's data where it was, or made again here for a search that was moved."""
    recorded = PreparedData.model_validate(search.settings["data"])
    if Path(recorded.path).is_file():
        return recorded
    data_dir = search.settings.get("data_dir")
    spec = DataSpec(
        name=recorded.name, train_size=recorded.train_size, image_size=recorded.image_size
    )
    made = prepare(
        spec, cache_dir=runs.data_cache, data_dir=None if data_dir is None else Path(data_dir)
    )
    if made.digest != recorded.digest:
        raise UnfitError(
            f"the data {recorded.name!r} of this machine is not the search's (digest "
            f"{made.digest[:12]}, recorded is {recorded.digest[:12]})"
        )
    return made
