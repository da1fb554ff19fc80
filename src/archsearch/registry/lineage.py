"""Where a model comes from and what it is, in the registry's words. Pure functions."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from archsearch.record.readings import TestReading
from archsearch.record.trained import TrainedTrial
from archsearch.tracking.translation import UNIQUE_TAG, as_tags
from archsearch.training.standalone import INPUT


def lineage(candidate: TrainedTrial, reading: TestReading) -> dict[str, str]:
    """Tags of the logged model and of the model version."""
    trial, search = candidate.trial, candidate.search
    return as_tags(
        {
            UNIQUE_TAG: candidate.key,
            "search": search.uuid,
            "search_name": search.name,
            "trial": trial.number,
            "architecture": trial.name,
            "family": trial.family,
            "data": candidate.data.name,
            "data_digest": candidate.data.digest,
            "checkpoint_sha256": candidate.checksum,
            "seed": candidate.config.seed,
            "archsearch_version": version("archsearch"),
            "test_accuracy": reading.accuracy,
            trial.objective.metric: trial.value,
        }
    )


def metadata(candidate: TrainedTrial) -> dict[str, Any]:
    """What travels inside the model: what goes in, what comes out, what it is."""
    return {
        "input": INPUT,
        "class_names": list(candidate.data.class_names),
        "multi_label": candidate.data.multi_label,
        "architecture": candidate.config.architecture.model_dump(mode="json"),
        "data": candidate.data.name,
        "data_digest": candidate.data.digest,
        "search": candidate.search.uuid,
        "trial": candidate.trial.number,
        "checkpoint_sha256": candidate.checksum,
    }


def description(candidate: TrainedTrial, reading: TestReading) -> str:
    """A sentence for the version's page."""
    trial = candidate.trial
    return (
        f"{trial.name}, trial {trial.number} of {candidate.search.name}: {reading.accuracy:.4f} "
        f"of {len(reading.predictions)} test images right. Input: {INPUT}."
    )
