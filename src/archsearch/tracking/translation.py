"""The record's events in MLflow's words: names, tags, metrics. Pure functions.

At most 15 metric names, the same for every family: hundreds of columns break MLflow's pages.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from archsearch.halving.arms import CONFIRM
from archsearch.objective import Objective
from archsearch.record.messages import (
    EpochEnded,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
)
from archsearch.redaction import redact
from archsearch.tracking.views import view_tags
from archsearch.training.result import EpochResult

# Carried by every run, logged model and model version, because MLflow gives out its own ids:
# looked up before anything is created, so nothing is made twice.
UNIQUE_TAG = "archsearch.id"

SPACE_TAG = "archsearch.space"
"""Of an experiment: the space whose searches it holds, whatever its name is now."""

EPOCH_METRICS = tuple(
    n for n, field in EpochResult.model_fields.items() if field.annotation is float
)
# MLflow shows what begins with `system/` on a page of its own.
SYSTEM_METRICS = {
    "cpu_percent": "system/cpu_utilization_percentage",
    "memory_percent": "system/system_memory_usage_percentage",
    "worker_memory_mib": "system/worker_memory_usage_mebibytes",
    "gpu_percent": "system/gpu_utilization_percentage",
    "gpu_memory_mib": "system/gpu_memory_usage_mebibytes",
}

# MLflow knows four ends of a run; `outcome` and `reason` say the rest.
STATUS = {
    "completed": "FINISHED",
    "stopped": "KILLED",
    "diverged": "FAILED",
    "out_of_memory": "FAILED",
    "infeasible": "FAILED",
    "failed": "FAILED",
}
WAITS = "the search was interrupted; the trial goes on when the search does"

LONGEST_TAG = 4900  # older servers take 5,000 characters
_LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{40,}")


def experiment_tags(objective: Objective) -> dict[str, str]:
    """Tags of the experiment of all searches of a space."""
    return {
        # Else the pages are those for language models: evaluations instead of training runs.
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": objective.metric,
        "mlflow.experiment.primaryMetric.greaterIsBetter": str(objective.direction == "maximize"),
    } | view_tags(objective)


def search_key(search_uuid: str) -> str:
    """The unique tag's value of a search's run."""
    return f"{search_uuid}/search"


def trial_key(search_uuid: str, number: int) -> str:
    """The unique tag's value of a trial's run."""
    return f"{search_uuid}/trial-{number}"


def uuid_of(tags: dict[str, str]) -> str:
    """The search's identity, from the tags of any of its runs."""
    return tags[UNIQUE_TAG].partition("/")[0]


def trial_run_name(number: int, name: str, arm: str = "sampler") -> str:
    """`trial-0007-WRN-28-10`; `confirm-0031-WRN-28-10` for a run that repeats a finalist."""
    kind = CONFIRM if arm == CONFIRM else "trial"
    return f"{kind}-{number:04d}-{name}"[:_LONGEST_NAME]


def as_tags(values: dict[str, Any]) -> dict[str, str]:
    """Tags as MLflow takes them: text, redacted, short enough; what is None is left out."""
    return {k: _text(v, LONGEST_TAG) for k, v in values.items() if v is not None}


def search_tags(told: SearchStarted) -> dict[str, str]:
    """Tags of a search's run; they may change when the search is continued."""
    return as_tags(
        {
            **told.tags,
            UNIQUE_TAG: search_key(told.uuid),
            "kind": "search",
            "search": told.name,
            "space": told.space_name,
            "data": told.data.name,
            "data_digest": told.data.digest,
            "space_digest": told.identity.space,
            "mlflow.runName": told.name,
            "mlflow.source.name": told.command
            or f"python -m pipeline.search --space {told.space_name}",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": told.tags.get("git_commit"),
        }
    )


def search_params(told: SearchStarted) -> dict[str, str]:
    """What a continued search may not change: MLflow refuses changed parameters.

    Digests are no parameters that a person compares; those of data and space are tags.
    """
    return {
        k: _text(v, 500)
        for k, v in told.identity.as_json().items()
        if isinstance(v, str | int | float) and not _DIGEST.fullmatch(str(v))
    }


def trial_tags(search: dict[str, str], number: int, told: TrialStarted) -> dict[str, str]:
    """Tags of a trial's run; `search` are those of the search's run.

    What is the same for all trials is read there: each tag is a column of the list of runs.
    """
    shared = ("search", "mlflow.source.name", "mlflow.source.git.commit")
    return {k: search[k] for k in shared if k in search} | as_tags(
        {
            UNIQUE_TAG: trial_key(uuid_of(search), number),
            "kind": "trial",
            "trial": number,
            "family": told.family,
            "architecture": told.name,
            "arm": told.arm,
            "mlflow.runName": trial_run_name(number, told.name, told.arm),
            "mlflow.source.type": "LOCAL",
        }
    )


def trial_params(told: TrialStarted) -> dict[str, str]:
    """`wrn/depth` as `depth`: one column for all families, unless a name then says two things."""
    params = told.params
    short = [k.rpartition("/")[2] for k in params]
    names = {k: s if short.count(s) == 1 else k for k, s in zip(params, short, strict=True)}
    values = {"family": told.family} | {names[k]: v for k, v in params.items()}
    return {k: _text(v, 500) for k, v in values.items()}


def trial_sizes(told: TrialStarted) -> dict[str, float]:
    """What a variant costs, as metrics: charts compare accuracy with them."""
    return {
        "num_params": float(told.complexity.params),
        "num_macs": float(told.complexity.macs),
    }


def epoch_metrics(told: EpochEnded) -> dict[str, float]:
    """One epoch's metrics; what was not finite is left out."""
    result, load = told.result, told.load
    values = {k: getattr(result, k) for k in EPOCH_METRICS}
    if result.images and result.train_seconds:
        values["images_per_second"] = result.images / result.train_seconds
    if load is not None:  # a search that was begun before there were any has none
        values |= {metric: getattr(load, key) for key, metric in SYSTEM_METRICS.items()}
    return {k: float(v) for k, v in values.items() if v is not None and math.isfinite(v)}


def epoch_tags(told: EpochEnded) -> dict[str, str]:
    """Where an epoch was trained, and on which kind of GPU if on one."""
    load = told.load
    return {} if load is None else as_tags({"worker": load.worker, "gpu": load.gpu_name})


def ending_tags(told: TrialEnded) -> dict[str, str]:
    """How a trial ended; as its description too, where a long reason is not cut off."""
    return as_tags(
        {
            "outcome": told.outcome,
            "reason": told.reason,
            "rung": told.rung_epochs,
            "mlflow.note.content": f"**{told.outcome}**: {told.reason}",
        }
    )


def question(told: SearchStarted) -> str:
    """What the space asks, in its own words; may be empty."""
    return redact(str(told.space.get("description") or ""))[:LONGEST_TAG]


def winner_metrics(told: SearchEnded) -> dict[str, float]:
    """What the search's own run says in figures when all confirm runs have ended."""
    if told.winner is None:
        return {}
    values = {
        f"winner_{told.objective}": told.winner.estimate,
        "winner_test_accuracy": told.winner.test_accuracy,
    }
    return {k: v for k, v in values.items() if v is not None}


def _text(value: Any, longest: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = redact(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
