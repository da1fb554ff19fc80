"""What a search has to offer for promotion: its best fully trained model, with its lineage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from archsearch.data import (
    DATA_SETS,
    DataSpec,
    PreparedData,
    data_here,
    load_test,
    prepare,
    prepared_here,
)
from archsearch.errors import PromotionRefusedError, UnfitError
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import read_trials
from archsearch.record.readings import Subject, TestReading, find_reading, keep_reading
from archsearch.record.trained import trained_trial
from archsearch.record.trial import SearchRow, TrialRecord
from archsearch.spaces.trial_config import TrialConfig
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


def find_candidate(
    database: Database, search: SearchRow, runs: RunsFolder, number: int | None = None
) -> Candidate:
    """A completed trial of a search, with its checkpoint verified against the record.

    Args:
        database: The record.
        search: Whose trial.
        runs: Where its files are.
        number: Which trial; by default the best one by validation accuracy.

    Raises:
        UsageError: There is no such trial.
        NoTrialSucceededError: No trial completed.
        PromotionRefusedError: The trial was not trained to the end.
        UnfitError: Its checkpoint or its data is not here, or is not what the record says.
    """
    if number is not None:
        _require_completed(search, read_trials(database, search.id), number)
    found = trained_trial(database, search, runs.of(search), number)
    return Candidate(search, found.trial, found.config, found.checkpoint, _data(search, runs))


def _require_completed(search: SearchRow, trials: list[TrialRecord], number: int) -> None:
    for trial in trials:
        if trial.number == number and trial.outcome != "completed":
            raise PromotionRefusedError(
                f"trial {number} ({trial.name}) of {search.name!r} was not trained to the end "
                f"({trial.outcome or 'unfinished'}): only completed trials have a model to promote"
            )


def read_test_split(
    database: Database, candidate: Candidate, model: nn.Module, *, force: bool = False
) -> TestReading:
    """The candidate's answers on the test split: read once, afterwards taken from the record.

    Args:
        database: The record, which keeps them.
        candidate: Whose answers.
        model: Its network, on any device.
        force: Read again; a second reading is recorded beside the first, as forced.
    """
    known = find_reading(database, candidate.search.id, candidate.subject)
    if known is not None and not force:
        return known
    from archsearch.training.objective import answers_of, is_right
    from archsearch.training.predict import predict

    split, data = load_test(candidate.data), candidate.data
    logits = predict(model, split, mean=data.mean, std=data.std).cpu()
    answers = answers_of(logits, multi_label=data.multi_label)
    accuracy = float(is_right(logits, split.labels).double().mean())
    return keep_reading(
        database, candidate.search.id, candidate.subject, answers.numpy(), accuracy, force=force
    )


def right_answers(data: PreparedData) -> npt.NDArray[np.int64]:
    """(N,), what a reading's predictions should be: a class, or a mask with a bit for each class.

    Raises:
        UnfitError: The data is not on this machine.
    """
    labels = load_test(data).labels
    if data.multi_label:
        labels = (labels.long() << torch.arange(labels.shape[1])).sum(1)
    answers: npt.NDArray[np.int64] = labels.numpy().astype(np.int64)
    return answers


def _data(search: SearchRow, runs: RunsFolder) -> PreparedData:
    """The search's data where it was, or made again here for a search that was moved."""
    recorded = PreparedData.model_validate(search.settings["data"])
    if Path(recorded.path).is_file():
        return recorded
    storage = runs.of(search).storage
    if storage is not None and search.settings.get("address") is not None:
        return data_here(recorded, storage)
    if recorded.name not in DATA_SETS:
        return _own_data(recorded, runs)
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


def _own_data(recorded: PreparedData, runs: RunsFolder) -> PreparedData:
    """Data that only its user's code can make, which nothing but a search runs."""
    found = prepared_here(recorded, runs.data_cache)
    if found is None:
        raise UnfitError(
            f"the data {recorded.name!r} of this search is not on this machine: copy "
            f"{Path(recorded.path).name} to {runs.data_cache}, or run the search's command again, "
            "which makes it"
        )
    return found
