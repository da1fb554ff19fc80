"""One search as MLflow sees it: each message of the outbox as calls that can be made twice."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.record.outbox import Message
from archsearch.redaction import redact_all
from archsearch.storage import storage_path
from archsearch.tracking import notes
from archsearch.tracking import translation as translation
from archsearch.tracking.client import UnknownRunError
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
        """Send one message that is not an epoch's."""
        match message.kind:
            case "search_started":
                self._start_search(message)
            case "trial_started":
                self._start_trial(message)
            case "trial_ended":
                self._end_trial(message)
            case "search_ended":
                self._end_search(message)
            case "winner_read":
                self._tell_reading(message)
            case _:
                raise UnknownRunError(f"the message kind {message.kind!r} is not known")

    def send_epochs(self, number: int, messages: Sequence[Message]) -> None:
        """Send epochs of one trial, at most `EPOCHS_PER_CALL`, in one call."""
        from mlflow.entities import Metric

        run_id = self._runs.trial(number)
        if number not in self._running:
            # It may have waited for the search to be continued, and been marked so.
            self._client.update_run(run_id, status="RUNNING")
            self._running.add(number)
        metrics = [
            Metric(key, value, message.created_ms, int(message.payload["epoch"]))
            for message in messages
            for key, value in translation.epoch_metrics(message.payload).items()
        ]
        self._log(run_id, tags=translation.epoch_tags(messages[-1].payload), metrics=metrics)

    def _start_search(self, message: Message) -> None:
        payload = message.payload
        tags = translation.search_tags(payload)
        experiment = ensure_experiment(
            self._client, self._store, str(payload["space_name"]), translation.question(payload)
        )
        run_id = self._runs.find_search(experiment, translation.search_key(payload["uuid"]))
        if run_id is None:
            run = self._client.create_run(
                experiment,
                start_time=message.created_ms,
                tags=tags | {"mlflow.note.content": notes.opening_note(payload)},
                run_name=payload["name"],
            )
            run_id = run.info.run_id
        self._log(run_id, params=translation.search_params(payload), tags=tags)
        self._client.log_inputs(run_id, datasets=[_dataset_input(payload["data"])])
        self._client.update_run(run_id, status="RUNNING")
        self._runs.remember_search(run_id)
        self._client.log_dict(run_id, redact_all(payload["space"]), "space.yaml")
        self._client.log_dict(run_id, redact_all(payload.get("settings", {})), "settings.yaml")

    def _start_trial(self, message: Message) -> None:
        from mlflow.entities import Metric

        search, payload = self._runs.search(), message.payload
        number = translation.number_of(message)
        tags = translation.trial_tags(search.data.tags, message)
        run_id = self._runs.find_trial(number)
        if run_id is None:
            run = self._client.create_run(
                search.info.experiment_id,
                start_time=message.created_ms,
                tags=tags | {"mlflow.parentRunId": search.info.run_id},
                run_name=tags["mlflow.runName"],
            )
            run_id = run.info.run_id
            self._runs.remember_trial(number, run_id)
        else:
            self._client.update_run(run_id, status="RUNNING")
        sizes = translation.trial_sizes(payload)
        metrics = [Metric(k, v, message.created_ms, 0) for k, v in sizes.items()]
        self._log(run_id, params=translation.trial_params(payload), tags=tags, metrics=metrics)
        datasets = list(search.inputs.dataset_inputs) if search.inputs else []
        self._client.log_inputs(run_id, datasets=datasets)
        self._running.add(number)

    def _end_trial(self, message: Message) -> None:
        number = translation.number_of(message)
        run_id = self._runs.trial(number)
        self._log(run_id, tags=translation.ending_tags(message.payload))
        status = translation.STATUS[message.payload["outcome"]]
        self._client.set_terminated(run_id, status, message.created_ms)
        self._running.discard(number)

    def _end_search(self, message: Message) -> None:
        from mlflow.entities import Metric

        search, payload = self._runs.search(), message.payload
        run_id = search.info.run_id
        board = payload.get("leaderboard") or []
        new_tags = {
            "ending": payload.get("ending"),
            "mlflow.note.content": _new_note(search, payload),
            "mlflow.loggedArtifacts": [{"path": "leaderboard.json", "type": "table"}],
        }
        best = board[0].get("val_accuracy") if board else None
        metrics = []
        if best is not None:
            metrics = [Metric("best_val_accuracy", float(best), message.created_ms, 0)]
        for key, value in translation.winner_metrics(payload).items():
            metrics.append(Metric(key, value, message.created_ms, 0))
        self._log(run_id, tags=translation.as_tags(new_tags), metrics=metrics)
        self._end_waiting_trials(search, message)
        status = "FINISHED" if payload.get("finished") else "KILLED"
        self._client.set_terminated(run_id, status, message.created_ms)
        self._client.log_text(run_id, notes.leaderboard_table(board), "leaderboard.json")
        for checkpoint in payload.get("checkpoints") or []:
            trial = self._runs.trial(int(checkpoint["number"]))
            with contextlib.ExitStack() as stack:
                try:
                    path = stack.enter_context(storage_path(checkpoint["path"]).local_copy())
                except (FileNotFoundError, NotADirectoryError, PermissionError):
                    continue  # delivered late, from another machine perhaps: it may be gone
                self._client.log_artifact(trial, str(path), "checkpoints")

        self._send_reports(run_id, payload)

    def _tell_reading(self, message: Message) -> None:
        """The test split was read after the search had ended: its note and report are new."""
        from mlflow.entities import Metric

        search, payload = self._runs.search(), message.payload
        name = "winner_test_accuracy"
        values = [v for k, v in translation.winner_metrics(payload).items() if k == name]
        self._log(
            search.info.run_id,
            tags=translation.as_tags({"mlflow.note.content": _new_note(search, payload)}),
            metrics=[Metric(name, value, message.created_ms, 0) for value in values],
        )
        self._send_reports(search.info.run_id, payload)

    def _send_reports(self, run_id: str, payload: dict[str, Any]) -> None:
        for report in payload.get("reports") or []:
            if Path(report).is_file():
                self._client.log_artifact(run_id, report, "report")

    def _end_waiting_trials(self, search: Run, message: Message) -> None:
        """No run is left running by a search that does not run."""
        parent = f"tags.`mlflow.parentRunId` = '{search.info.run_id}'"
        conditions = f"attributes.status = 'RUNNING' AND {parent}"
        for run in self._client.search_runs([search.info.experiment_id], conditions):
            self._log(run.info.run_id, tags={"reason": translation.WAITS})
            self._client.set_terminated(run.info.run_id, "KILLED", message.created_ms)
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


def _new_note(search: Run, payload: dict[str, Any]) -> str:
    tags = search.data.tags
    return notes.closing_note(tags.get("mlflow.note.content", ""), payload, tags["mlflow.runName"])


def _dataset_input(data: dict[str, Any]) -> DatasetInput:
    """A data set without its place: paths of a machine mean nothing to others."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sizes = {k: v for k, v in data.items() if k.startswith("num_") or k.endswith("_size")}
    return DatasetInput(
        Dataset(
            name=str(data["name"]),
            digest=str(data["digest"])[:8],  # as long as MLflow's own; the tag has all of it
            source_type="archsearch",
            source=json.dumps({"name": data["name"]}),
            profile=json.dumps(sizes),
        ),
        tags=[InputTag("mlflow.data.context", "train")],
    )
