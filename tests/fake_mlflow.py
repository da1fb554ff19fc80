"""MLflow's client without MLflow's store: what tracking calls of it, kept in memory.

It answers with MLflow's own entities and errors. `tests/contracts/test_mlflow_client.py` asks
the same of it and of a real SQLite store, so that it cannot drift from what MLflow does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlflow.entities import (
    DatasetInput,
    Experiment,
    ExperimentTag,
    FileInfo,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.entities import PagedList


@dataclass
class _Experiment:
    name: str
    tags: dict[str, str]
    stage: str = "active"


@dataclass
class _Run:
    experiment_id: str
    name: str
    start_time: int
    tags: dict[str, str]
    status: str = "RUNNING"
    end_time: int | None = None
    stage: str = "active"
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    datasets: list[DatasetInput] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


class FakeMlflow:
    """What stands for a store and its client.

    Attributes:
        page: Runs in an answer, if nothing else is asked for.
    """

    def __init__(self) -> None:
        self.page = 1000
        self._experiments: dict[str, _Experiment] = {}
        self._runs: dict[str, _Run] = {}

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: dict[str, Any] | None = None
    ) -> str:
        if not name:
            raise MlflowException("Invalid experiment name", INVALID_PARAMETER_VALUE)
        if any(each.name == name for each in self._experiments.values()):
            raise MlflowException(f"{name!r} already exists", RESOURCE_ALREADY_EXISTS)
        number = str(len(self._experiments) + 1)
        self._experiments[number] = _Experiment(name, dict(tags or {}))
        return number

    def get_experiment(self, experiment_id: str) -> Experiment:
        found = self._experiment(experiment_id)
        tags = [ExperimentTag(k, v) for k, v in found.tags.items()]
        return Experiment(experiment_id, found.name, "", found.stage, tags)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        for number, each in self._experiments.items():
            if each.name == name:
                return self.get_experiment(number)
        return None

    def search_experiments(self, *, filter_string: str = "") -> list[Experiment]:
        conditions = _conditions(filter_string)
        return [
            self.get_experiment(number)
            for number, each in self._experiments.items()
            if each.stage == "active"
            and all(each.tags.get(k) == v for (kind, k), v in conditions.items() if kind == "tags")
        ]

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        self._experiment(experiment_id).tags[key] = str(value)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        self._experiment(experiment_id).name = new_name

    def delete_experiment(self, experiment_id: str) -> None:
        self._mark(experiment_id, "deleted")

    def restore_experiment(self, experiment_id: str) -> None:
        self._mark(experiment_id, "active")

    def _mark(self, experiment_id: str, stage: str) -> None:
        self._experiment(experiment_id).stage = stage
        for run in self._runs.values():
            if run.experiment_id == experiment_id:
                run.stage = stage

    def _experiment(self, experiment_id: str) -> _Experiment:
        if experiment_id not in self._experiments:
            raise MlflowException(f"no experiment {experiment_id}", RESOURCE_DOES_NOT_EXIST)
        return self._experiments[experiment_id]

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        self._experiment(experiment_id)
        run_id, name = uuid4().hex, run_name or "named-by-mlflow"
        told = {k: str(v) for k, v in (tags or {}).items()} | {"mlflow.runName": name}
        self._runs[run_id] = _Run(experiment_id, name, start_time or 0, told)
        return self.get_run(run_id)

    def get_run(self, run_id: str) -> Run:
        found = self._run(run_id)
        newest: dict[str, Metric] = {}
        for key, value, timestamp, step in sorted(found.metrics, key=lambda m: (m[3], m[2], m[1])):
            newest[key] = Metric(key, value, timestamp, step)
        return Run(
            RunInfo(
                run_id=run_id,
                experiment_id=found.experiment_id,
                user_id="",
                status=found.status,
                start_time=found.start_time,
                end_time=found.end_time,
                lifecycle_stage=found.stage,
                run_name=found.name,
            ),
            RunData(
                metrics=list(newest.values()),
                params=[Param(k, v) for k, v in found.params.items()],
                tags=[RunTag(k, v) for k, v in found.tags.items()],
            ),
            RunInputs(dataset_inputs=list(found.datasets)),
        )

    def search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str = "",
        max_results: int | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        conditions = _conditions(filter_string)
        found = [
            run_id
            for run_id, run in self._runs.items()
            if run.experiment_id in experiment_ids
            and run.stage == "active"
            and all(_holds(run, kind, key, value) for (kind, key), value in conditions.items())
        ]
        first = int(page_token or 0)
        last = first + (max_results or self.page)
        token = str(last) if last < len(found) else None
        return PagedList([self.get_run(run_id) for run_id in found[first:last]], token)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        run = self._active(run_id)
        run.status = status or run.status
        if name is not None:
            run.name = run.tags["mlflow.runName"] = name

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        run = self._active(run_id)
        run.status, run.end_time = status or "FINISHED", end_time

    def delete_run(self, run_id: str) -> None:
        self._run(run_id).stage = "deleted"

    def restore_run(self, run_id: str) -> None:
        self._run(run_id).stage = "active"

    def gone(self, run_id: str) -> None:
        """Deleted for good, as by `mlflow gc`."""
        del self._runs[run_id]

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> None:
        run = self._active(run_id)
        changed = [p.key for p in params if run.params.get(p.key, p.value) != p.value]
        if changed:
            raise MlflowException(f"changed params: {changed}", INVALID_PARAMETER_VALUE)
        run.params |= {p.key: p.value for p in params}
        for tag in tags:
            run.tags[tag.key] = tag.value
            if tag.key == "mlflow.runName":
                run.name = tag.value
        for metric in metrics:
            point = (metric.key, metric.value, metric.timestamp, metric.step)
            if point not in run.metrics:
                run.metrics.append(point)

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        found = [m for m in self._run(run_id).metrics if m[0] == key]
        return [Metric(*m) for m in found]

    def log_inputs(self, run_id: str, datasets: Sequence[DatasetInput] | None = None) -> None:
        run = self._active(run_id)
        known = [(d.dataset.name, d.dataset.digest) for d in run.datasets]
        run.datasets += [
            d for d in datasets or [] if (d.dataset.name, d.dataset.digest) not in known
        ]

    def log_dict(self, run_id: str, dictionary: Any, artifact_file: str) -> None:
        self.log_text(run_id, json.dumps(dictionary), artifact_file)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        self._run(run_id).files.add(artifact_file)

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        Path(local_path).read_bytes()
        folder = f"{artifact_path}/" if artifact_path else ""
        self._run(run_id).files.add(f"{folder}{Path(local_path).name}")

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        top = {name.partition("/")[0]: "/" in name for name in self._run(run_id).files}
        return [FileInfo(name, is_folder, None) for name, is_folder in top.items()]

    def _run(self, run_id: str) -> _Run:
        if run_id not in self._runs:
            raise MlflowException(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
        return self._runs[run_id]

    def _active(self, run_id: str) -> _Run:
        run = self._run(run_id)
        if run.stage != "active":
            raise MlflowException(
                f"The run {run_id} must be in the 'active' state", INVALID_PARAMETER_VALUE
            )
        return run


_CONDITION = re.compile(r"(tags|attributes)\.`?([\w.]+)`? (=|LIKE) '([^']*)'")


def _conditions(filter_string: str) -> dict[tuple[str, str], str]:
    """Equalities joined by AND; what MLflow's language has beyond them is not asked for here."""
    parts = [part for part in filter_string.split(" AND ") if part]
    found = [_CONDITION.fullmatch(part) for part in parts]
    if not all(found):
        raise MlflowException(f"cannot be read: {filter_string}", INVALID_PARAMETER_VALUE)
    return {(m[1], m[2]): m[4] for m in found if m}


def _holds(run: _Run, kind: str, key: str, value: str) -> bool:
    now = run.status if kind == "attributes" else run.tags.get(key, "")
    return now.startswith(value[:-1]) if value.endswith("%") else now == value
