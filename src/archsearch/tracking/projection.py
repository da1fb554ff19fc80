"""One search as MLflow sees it: each message of the outbox as calls that can be made twice."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from archsearch.objective import objective_named
from archsearch.record.messages import (
    EpochEnded,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    WinnerRead,
)
from archsearch.record.outbox import Message
from archsearch.redaction import redact_all
from archsearch.schema import DataDescription
from archsearch.storage import storage_path
from archsearch.tracking import notes
from archsearch.tracking import translation as translation
from archsearch.tracking.runs import KnownRuns, ensure_experiment
from archsearch.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

# `log_batch` takes 1,000 metrics a call.
EPOCHS_PER_CALL = 1000 // (len(translation.EPOCH_METRICS) + 1 + len(translation.SYSTEM_METRICS))


class Projection:
    """Sends messages of one search to one store.

    Sending the same messages again in the same order changes nothing: runs are looked up by
    their unique tag before they are made, parameters and tags are the same, metric points carry
    the time at which the record was written, and a later status replaces an earlier one.

    Args:
        client: Of that store.
        store: Where the client points.
        runs: Of that search, on that store.
    """

    def __init__(self, client: MlflowClient, store: TrackingStore, runs: KnownRuns) -> None:
        self._client = client
        self._store = store
        self._runs = runs
        self._running: set[int] = set()

    def send(self, message: Message) -> None:
        """Send one message."""
        created_ms = message.created_ms
        match message.payload:
            case SearchStarted() as told:
                self._start_search(told, created_ms)
            case TrialStarted() as told:
                self._start_trial(_number_of(message), told, created_ms)
            case TrialEnded() as told:
                self._end_trial(_number_of(message), told, created_ms)
            case WinnerRead() as told:
                self._tell_reading(told, created_ms)
            case SearchEnded() as told:
                self._end_search(told, created_ms)
            case EpochEnded():
                self.send_epochs(_number_of(message), [message])
            case _:
                assert_never(message.payload)

    def send_epochs(self, number: int, messages: Sequence[Message]) -> None:
        """Send epochs of one trial, at most `EPOCHS_PER_CALL`, in one call."""
        from mlflow.entities import Metric

        run_id = self._runs.trial(number)
        if number not in self._running:
            # It may have waited for the search to be continued, and been marked so.
            self._client.update_run(run_id, status="RUNNING")
            self._running.add(number)
        epochs = [
            (message.payload, message.created_ms)
            for message in messages
            if isinstance(message.payload, EpochEnded)
        ]
        metrics = [
            Metric(key, value, created_ms, told.epoch)
            for told, created_ms in epochs
            for key, value in translation.epoch_metrics(told).items()
        ]
        self._log(run_id, tags=translation.epoch_tags(epochs[-1][0]), metrics=metrics)

    def _start_search(self, told: SearchStarted, created_ms: int) -> None:
        tags = translation.search_tags(told)
        experiment = self._runs.experiment or ensure_experiment(
            self._client,
            self._store,
            told.space_name,
            objective_named(told.identity.objective),
            translation.question(told),
        )
        run_id = self._runs.find_search(experiment, translation.search_key(told.uuid))
        if run_id is not None:
            del tags["mlflow.runName"]  # somebody may have given it another name
        else:
            run = self._client.create_run(
                experiment,
                start_time=created_ms,
                tags=tags | {"mlflow.note.content": notes.opening_note(told)},
                run_name=told.name,
            )
            run_id = run.info.run_id
        self._log(run_id, params=translation.search_params(told), tags=tags)
        self._client.log_inputs(run_id, datasets=[_dataset_input(told.data)])
        self._client.update_run(run_id, status="RUNNING")
        self._runs.remember_search(run_id)
        self._client.log_dict(run_id, redact_all(told.space), "space.yaml")
        self._client.log_dict(run_id, redact_all(told.settings.as_json()), "settings.yaml")

    def _start_trial(self, number: int, told: TrialStarted, created_ms: int) -> None:
        from mlflow.entities import Metric

        search = self._runs.search()
        tags = translation.trial_tags(search.data.tags, number, told)
        # Of a run that is there too: its parent may have been deleted, and made anew.
        tags["mlflow.parentRunId"] = search.info.run_id
        run_id = self._runs.find_trial(number)
        if run_id is None:
            run = self._client.create_run(
                search.info.experiment_id,
                start_time=created_ms,
                tags=tags,
                run_name=tags["mlflow.runName"],
            )
            run_id = run.info.run_id
            self._runs.remember_trial(number, run_id)
        else:
            self._client.update_run(run_id, status="RUNNING")
            del tags["mlflow.runName"]  # somebody may have given it another name
        sizes = translation.trial_sizes(told)
        metrics = [Metric(k, v, created_ms, 0) for k, v in sizes.items()]
        self._log(run_id, params=translation.trial_params(told), tags=tags, metrics=metrics)
        datasets = list(search.inputs.dataset_inputs) if search.inputs else []
        self._client.log_inputs(run_id, datasets=datasets)
        self._running.add(number)

    def _end_trial(self, number: int, told: TrialEnded, created_ms: int) -> None:
        run_id = self._runs.trial(number)
        self._log(run_id, tags=translation.ending_tags(told))
        self._client.set_terminated(run_id, translation.STATUS[told.outcome], created_ms)
        self._running.discard(number)

    def _end_search(self, told: SearchEnded, created_ms: int) -> None:
        from mlflow.entities import Metric

        search = self._runs.search()
        run_id = search.info.run_id
        new_tags = {
            "ending": told.ending,
            "mlflow.note.content": _new_note(search, told),
            "mlflow.loggedArtifacts": [{"path": "leaderboard.json", "type": "table"}],
        }
        best = told.leaderboard[0].value if told.leaderboard else None
        metrics = []
        if best is not None:
            metrics = [Metric(f"best_{told.objective}", best, created_ms, 0)]
        for key, value in translation.winner_metrics(told).items():
            metrics.append(Metric(key, value, created_ms, 0))
        self._log(run_id, tags=translation.as_tags(new_tags), metrics=metrics)
        self._end_waiting_trials(search, created_ms)
        status = "FINISHED" if told.finished else "KILLED"
        self._client.set_terminated(run_id, status, created_ms)
        table = notes.leaderboard_table(told)
        self._client.log_text(run_id, table, "leaderboard.json")
        for checkpoint in told.checkpoints:
            trial = self._runs.trial(checkpoint.number)
            with contextlib.ExitStack() as stack:
                try:
                    path = stack.enter_context(storage_path(checkpoint.path).local_copy())
                except (FileNotFoundError, NotADirectoryError, PermissionError):
                    continue  # delivered late, from another machine perhaps: it may be gone
                self._client.log_artifact(trial, str(path), "checkpoints")

        self._send_reports(run_id, told.reports)

    def _tell_reading(self, told: WinnerRead, created_ms: int) -> None:
        """The test split was read after the search had ended: its note and report are new."""
        from mlflow.entities import Metric

        search = self._runs.search()
        name = "winner_test_accuracy"
        values = [v for k, v in translation.winner_metrics(told).items() if k == name]
        self._log(
            search.info.run_id,
            tags=translation.as_tags({"mlflow.note.content": _new_note(search, told)}),
            metrics=[Metric(name, value, created_ms, 0) for value in values],
        )
        self._send_reports(search.info.run_id, told.reports)

    def _send_reports(self, run_id: str, reports: Sequence[str]) -> None:
        for report in reports:
            if Path(report).is_file():
                self._client.log_artifact(run_id, report, "report")

    def _end_waiting_trials(self, search: Run, created_ms: int) -> None:
        """No run is left running by a search that does not run."""
        parent = f"tags.`mlflow.parentRunId` = '{search.info.run_id}'"
        conditions = f"attributes.status = 'RUNNING' AND {parent}"
        for run_id in self._runs.search_all(search.info.experiment_id, conditions):
            self._log(run_id, tags={"reason": translation.WAITS})
            self._client.set_terminated(run_id, "KILLED", created_ms)
        self._running.clear()

    def _log(
        self,
        run_id: str,
        *,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        metrics: Sequence[Any] = (),
    ) -> None:
        from mlflow.entities import Param, RunTag

        self._client.log_batch(
            run_id,
            metrics=metrics,
            params=[Param(k, v) for k, v in (params or {}).items()],
            tags=[RunTag(k, v) for k, v in (tags or {}).items()],
            synchronous=True,
        )


def _number_of(message: Message) -> int:
    """The trial that a message is about."""
    if message.number is None:
        raise ValueError(f"message {message.id} ({message.kind}) names no trial")
    return message.number


def _new_note(search: Run, told: SearchEnded) -> str:
    tags = search.data.tags
    return notes.closing_note(tags.get("mlflow.note.content", ""), told, tags["search"])


def _dataset_input(data: DataDescription) -> DatasetInput:
    """A data set without its place: paths of a machine mean nothing to others."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    fields = data.model_dump(mode="json")
    sizes = {k: v for k, v in fields.items() if k.startswith("num_") or k.endswith("_size")}
    return DatasetInput(
        Dataset(
            name=data.name,
            digest=data.digest[:8],  # as long as MLflow's own; the tag has all of it
            source_type="archsearch",
            source=json.dumps({"name": data.name}),
            profile=json.dumps(sizes),
        ),
        tags=[InputTag("mlflow.data.context", "train")],
    )
