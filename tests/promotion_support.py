"""A search with trained trials, without a driver: what promotions start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.data import PreparedData, load_resident
from archsearch.models.resnet import ResNetSpec
from archsearch.promotion.promote import Promotion, PromotionRequest
from archsearch.promotion.promote import promote as promote_search
from archsearch.record.paths import RunsFolder
from archsearch.record.readings import keep_reading
from archsearch.record.test_split import right_answers
from archsearch.record.trained import find_candidate
from archsearch.record.trial import EpochRecord
from archsearch.record.writer import Ending
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.tracking.store import TrackingStore
from archsearch.training.checkpoint_file import (
    CheckpointHeader,
    checkpoint_name,
    write_checkpoint,
)
from archsearch.training.loop import Training
from tests.records import issued
from tests.tracking_support import SETTINGS, Recorded, new_record


@dataclass(frozen=True)
class Trained:
    """A search with two completed trials; trial 1 is the better one by its record."""

    record: Recorded
    runs: RunsFolder
    training: Training


def add_trained(
    record: Recorded, data: PreparedData, number: int, accuracy: float, arm: str = "sampler"
) -> Training:
    """One epoch of a real training, recorded as a completed trial."""
    config = TrialConfig(
        architecture=ResNetSpec(depth=8),
        recipe=Recipe(batch_size=64),
        input=data.input_spec,
        max_epochs=1,
        seed=number,
    )
    training = Training(config, data, load_resident(data))
    (result,) = training.epochs()
    record.writer.add_trial(issued(config, number, arm=arm, params={"resnet/depth": 8}))
    path = record.paths.trial(number).checkpoints / checkpoint_name(1, 1)
    header = CheckpointHeader(
        epoch=1, attempt=1, config_digest=config.seeded_digest, history=(result,)
    )
    checksum = write_checkpoint(path, header, training.state_bytes()).payload_sha256
    epoch = EpochRecord(1, 1, accuracy, result, path.name, checksum, created_ms=1)
    record.writer.add_epoch(number, epoch, ending=Ending("completed", "all epochs"))
    return training


@contextmanager
def trained_search(
    runs: Path, data: PreparedData, name: str = "first", **settings: Any
) -> Iterator[Trained]:
    """A search with two completed trials; trial 1 is the better one by its record."""
    record = new_record(runs, name)
    settings = SETTINGS | {"data": data.model_dump(mode="json"), "data_dir": None} | settings
    record.start(settings=settings)
    add_trained(record, data, 0, accuracy=0.1)
    training = add_trained(record, data, 1, accuracy=0.2)
    yield Trained(record, RunsFolder(runs), training)
    record.database.close()


def promote(
    trained: Trained, store: TrackingStore, model: str, *gates: str, **options: Any
) -> Promotion:
    """What `pipeline.promote` does, without its printing."""
    record = trained.record
    request = PromotionRequest(model=model, gates=gates, **options)
    return promote_search(record.database, record.refreshed(), trained.runs, store, request)


def plant_answers(trained: Trained, number: int, wrong: range) -> None:
    """Let a trial have been read on the test split: right but for these images."""
    record = trained.record
    candidate = find_candidate(record.database, record.refreshed(), trained.runs, number)
    answers = right_answers(candidate.data)
    answers[wrong.start : wrong.stop] = (answers[wrong.start : wrong.stop] + 1) % 10
    accuracy = 1 - len(wrong) / len(answers)
    subject = candidate.subject
    kept = keep_reading(record.database, record.search.id, subject, answers, accuracy)
    assert np.array_equal(kept.predictions, answers), "it had been read before"
