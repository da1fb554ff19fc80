"""Trials as the record has them, made without a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from archsearch.models.complexity import complexity
from archsearch.objective import ACCURACY
from archsearch.record.cells import TrialComplexity
from archsearch.record.trial import TrialRecord
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.result import EpochResult

DIGITS = InputSpec(in_channels=1, image_size=8, num_classes=10)


def config_of(name: str, batch_size: int = 64) -> TrialConfig:
    """A published network, to be trained on images like the digits."""
    return TrialConfig(
        architecture=parse_name(name),
        recipe=Recipe(batch_size=batch_size),
        input=DIGITS,
        max_epochs=9,
        seed=0,
    )


def result_of(val_accuracy: float = 0.5, epoch: int = 1, **changes: Any) -> EpochResult:
    """An epoch's result with unremarkable values but for the ones given."""
    fields: dict[str, Any] = {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "train_accuracy": val_accuracy,
        "val_loss": 1.0 / epoch,
        "val_accuracy": val_accuracy,
        "learning_rate": 0.1,
        "images": 1150,
        "train_seconds": 0.1,
        "val_seconds": 0.01,
        "micro_batch": 64,
    }
    return EpochResult(**fields | changes)


def issued(config: TrialConfig, number: int, **changes: Any) -> TrialRecord:
    """A trial that was issued and has not begun, but for what is changed."""
    trial = TrialRecord(
        number=number,
        objective=ACCURACY,
        family=config.architecture.family,
        name=config.name,
        arm="sampler",
        params={},
        config=config,
        config_digest=config.digest,
        complexity=TrialComplexity(**complexity(config.architecture, config.input).model_dump()),
        outcome=None,
        reason=None,
        rung_epochs=None,
        shadow_rung_epochs=None,
        created_ms=0,
        finished_ms=None,
    )
    return replace(trial, **changes)
