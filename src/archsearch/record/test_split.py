"""A search's data on this machine, and what a trained trial answers on its test split."""

from __future__ import annotations

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
from archsearch.errors import UnfitError
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.readings import TestReading, find_reading, keep_reading
from archsearch.record.trained import TrainedTrial
from archsearch.record.trial import SearchRow

if TYPE_CHECKING:
    from torch import nn


def read_test_split(
    database: Database, candidate: TrainedTrial, model: nn.Module, *, force: bool = False
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


def data_on_this_machine(search: SearchRow, runs: RunsFolder) -> PreparedData:
    """The search's data where it was, or made again here for a search that was moved.

    Raises:
        UnfitError: It cannot be had here, or is not what the record says.
    """
    recorded = search.settings.data
    if Path(recorded.path).is_file():
        return recorded
    storage = runs.of(search).storage
    if storage is not None and search.settings.address is not None:
        return data_here(recorded, storage)
    if recorded.name not in DATA_SETS:
        return _own_data(recorded, runs)
    data_dir = search.settings.data_dir
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
