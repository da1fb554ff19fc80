"""The evidence card of a promotion: what was found out about a candidate, as JSON.

Written for programs and later comparisons; `card_text` says the same to a person. A pure function
of an examination.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from archsearch.analysis.members import device_seconds
from archsearch.promotion.examination import Comparison, Examination
from archsearch.record.cells import finite
from archsearch.record.trained import TrainedTrial
from archsearch.training.result import CURVES, EpochResult

FORMAT = 1

Card = dict[str, Any]


def card_of(found: Examination, earlier: list[dict[str, Any]]) -> Card:
    """The card.

    Args:
        found: What was found out.
        earlier: The entries `examinations` of the version's card before, oldest first.
    """
    candidate, trial = found.candidate, found.candidate.trial
    examination = {
        "when": found.when,
        "alias": found.alias,
        "champion": found.comparison.version if found.comparison else None,
        "status": found.status,
        "failed": [result.name for result in found.failed],
        "overridden": list(found.overridden),
        "promoted": found.is_promoted,
    }
    interval = found.measured.accuracy_interval
    return {
        "format": FORMAT,
        "model": found.model,
        "version": str(found.challenger.version.version),
        **examination,
        "gates": [asdict(result) for result in found.results],
        "candidate": {
            "search": candidate.search.name,
            "search_uuid": candidate.search.uuid,
            "trial": trial.number,
            "name": trial.name,
            "family": trial.family,
            "arm": trial.arm,
            "chosen": found.choice.told,
            "caution": found.choice.caution,
            "seed": candidate.config.seed,
            "config": trial.config.model_dump(mode="json"),
            "params": found.measured.params,
            "macs": found.measured.macs,
            "objective": trial.objective.metric,
            trial.objective.metric: trial.value,
            "test_accuracy": asdict(interval),
            "test_right": found.measured.num_right,
            "test_images": found.measured.num_test,
            "chance_accuracy": found.measured.chance,
            "test_read_ms": found.reading.created_ms,
            "checkpoint": candidate.checkpoint.path.name,
            "checkpoint_sha256": candidate.checksum,
        },
        "champion_comparison": _comparison(found.comparison),
        "export": {
            "format": "pt2",
            "largest_logit_difference": found.challenger.difference,
            "size_bytes": found.challenger.size_bytes,
            "latency": asdict(found.challenger.latency),
        },
        "data": _data(candidate),
        "code": {name: dict(version) for name, version in found.code.items()},
        "cost": _cost(found),
        "confirm_runs": _confirm_runs(found),
        "learning_curve": [_epoch(epoch.result) for epoch in trial.epochs],
        "examinations": [*earlier, examination],
    }


def _comparison(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    counts, difference = comparison.counts, comparison.difference
    tags = comparison.tags
    return {
        "version": comparison.version,
        "architecture": tags.get("architecture"),
        "search": tags.get("search"),
        "trial": tags.get("trial"),
        "answers_from": comparison.source,
        "counts": None if counts is None else asdict(counts),
        "difference": None if difference is None else asdict(difference),
        "obstacle": comparison.obstacle,
        "caution": comparison.caution,
    }


def _data(candidate: TrainedTrial) -> dict[str, Any]:
    data = candidate.data
    return {
        "name": data.name,
        "digest": data.digest,
        "split_digest": data.split_digest,
        "num_train": data.num_train,
        "num_val": data.num_val,
        "num_test": data.num_test,
        "image": [data.in_channels, data.image_size, data.image_size],
        "num_classes": data.num_classes,
        "multi_label": data.multi_label,
    }


def _cost(found: Examination) -> dict[str, Any]:
    trial, trials = found.candidate.trial, found.trials
    return {
        "epochs": len(trial.epochs),
        "attempts": max(1, len(trial.attempts)),
        "training_seconds": round(device_seconds(trial), 1),
        "search_trials": len(trials),
        "search_epochs": sum(len(each.epochs) for each in trials),
        "search_training_seconds": round(sum(map(device_seconds, trials)), 1),
        "search_seconds": round(found.candidate.search.seconds, 1),
    }


def _confirm_runs(found: Examination) -> list[dict[str, Any]]:
    """All runs of the candidate's configuration: its own, and those with other seeds."""
    return [
        {
            "trial": trial.number,
            "arm": trial.arm,
            "seed": trial.config.seed,
            "outcome": trial.outcome,
            trial.objective.metric: trial.value,
        }
        for trial in found.trials
        if trial.config_digest == found.candidate.trial.config_digest
    ]


def _epoch(result: EpochResult) -> dict[str, Any]:
    return {"epoch": result.epoch} | {
        name: finite(getattr(result, name)) for name in ("learning_rate", *CURVES)
    }
