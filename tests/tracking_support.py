"""A record to deliver: made by a real writer, without training anything."""

from __future__ import annotations

import importlib
import math
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from archsearch.objective import ACCURACY
from archsearch.record import lease
from archsearch.record.cells import SearchIdentity, TrialComplexity
from archsearch.record.database import Database, now_ms
from archsearch.record.messages import SearchEnded, SearchStarted, SystemMetrics
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.reader import get_search
from archsearch.record.settings import SearchSettings
from archsearch.record.trial import EpochRecord, Outcome, SearchRow, TrialRecord
from archsearch.record.writer import Ending, Writer, create_search
from archsearch.spaces.parameters import Scalar
from archsearch.tracking.client import open_client
from archsearch.tracking.sender import deliver
from archsearch.tracking.store import TrackingStore
from archsearch.tracking.translation import UNIQUE_TAG
from pipeline._main import run
from tests.records import config_of, result_of

DATA = {
    "name": "digits",
    "digest": "d" * 64,
    "num_train": 1149,
    "num_val": 288,
    "num_test": 360,
    "train_size": None,
    "path": "/nowhere/digits.arrow",
    "num_classes": 10,
    "in_channels": 1,
    "image_size": 8,
    "class_names": [str(digit) for digit in range(10)],
    "mean": [0.3],
    "std": [0.4],
    "split_digest": "e" * 64,
    "flip": False,
}
LOAD = SystemMetrics(worker="node-1/4711", cpu_percent=50.0, worker_memory_mib=700.0)
IDENTITY = {
    "space": "5" * 64, "data": "d" * 64, "split": "e" * 64, "seed": 0, "max_epochs": 9,
}  # fmt: skip
SETTINGS = {"data": DATA, "rungs": [1, 3, 9], "trials": 20}
ENDED: dict[str, Any] = {"finished": True, "ending": "finished", "leaderboard": []}
FINALIST: dict[str, Any] = {
    "name": "WRN-16-0",
    "family": "wrn",
    "trial": 0,
    "search_val_accuracy": 0.3,
    "runs": [0],
    "completed": 1,
    "mean": 0.3,
    "estimate": 0.29,
    "interval": [0.2, 0.4],
    "probability_best": 1.0,
    "estimator": "mean",
}
WINNER = FINALIST | {
    "model_trial": 0,
    "model_val_accuracy": 0.3,
    "test_accuracy": None,
    "test_interval": None,
    "num_test": None,
    "models_read_on_test": 1,
}


@dataclass(frozen=True)
class Recorded:
    """A search's record, open for writing."""

    paths: SearchPaths
    database: Database
    search: SearchRow
    writer: Writer

    def start(self, **changes: Any) -> None:
        """A driver begins or continues."""
        announcement: dict[str, Any] = {
            "name": self.search.name,
            "uuid": self.search.uuid,
            "space_name": "wrn_vs_resnext",
            "space": {"description": "width or cardinality?", "families": {"wrn": {}}},
            "data": {key: value for key, value in DATA.items() if key != "path"},
            "identity": IDENTITY,
            "settings": SETTINGS,
            "tags": {"git_commit": "c0ffee"},
        }
        announcement |= changes
        self.writer.start(SearchStarted.model_validate(announcement))

    def refreshed(self) -> SearchRow:
        """The search as the record has it now."""
        return get_search(self.database, self.search.name)

    def add_trial(self, number: int, family: str = "wrn") -> None:
        """A trial is issued."""
        params: dict[str, Scalar] = {"family": family, f"{family}/depth": 16}
        params["training/learning_rate"] = 0.1
        self.writer.add_trial(
            TrialRecord(
                number=number,
                objective=ACCURACY,
                family=family,
                name=f"{family.upper()}-16-{number}",
                arm="sampler",
                params=params,
                config=config_of("WRN-16-1"),
                config_digest=f"{number:064d}",
                complexity=TrialComplexity(params=1000 + number, macs=5000, activations=10),
                outcome=None,
                reason=None,
                rung_epochs=None,
                shadow_rung_epochs=None,
                created_ms=now_ms(),
                finished_ms=None,
            )
        )

    def add_epochs(self, number: int, first: int, last: int) -> None:
        """Epochs `first` to `last` are finished, each in its own transaction."""
        for epoch in range(first, last + 1):
            result = result_of(
                0.1 * epoch,
                epoch,
                train_accuracy=0.5,
                val_loss=math.nan if epoch == 2 else 1.0,
                images=1149,
                train_seconds=2.0,
                val_seconds=0.1,
            )
            record = EpochRecord(epoch, 1, 0.1 * epoch, result, None, None, now_ms())
            self.writer.add_epoch(number, record, load=LOAD)

    def end_trial(self, number: int, outcome: Outcome, rung: int | None = None) -> None:
        """A trial has its outcome."""
        self.writer.end_trial(number, Ending(outcome, f"it {outcome}", rung))

    def finish(self, *, finished: bool = True, **summary: Any) -> None:
        """The driver ends."""
        ended = {"finished": finished, "ending": "finished" if finished else "interrupted"}
        self.writer.finish(SearchEnded.model_validate(ENDED | ended | summary))


def new_record(runs: Path, name: str = "first") -> Recorded:
    """A fresh record whose lease this process holds."""
    paths = RunsFolder(runs).search(name)
    database = Database.open(paths.database, create=True)
    search = create_search(
        database,
        name,
        identity=SearchIdentity.model_validate(IDENTITY),
        settings=SearchSettings.model_validate(SETTINGS),
        space={},
    )
    writer = Writer(database, search.id, lease.acquire(database, search.id))
    return Recorded(paths, database, search, writer)


def call(module: str, *arguments: str) -> int:
    """`python -m MODULE ARGUMENTS` in this process; its exit code."""
    app = importlib.import_module(module).app
    with patch.object(sys, "argv", [module, *arguments]):
        try:
            run(app)
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def whole_search(record: Recorded) -> None:
    """A small search with every kind of ending but one."""
    record.start()
    outcomes: list[tuple[Outcome, int | None]] = [
        ("completed", None),
        ("stopped", 3),
        ("diverged", None),
    ]
    for number in range(3):
        record.add_trial(number, "resnext" if number == 1 else "wrn")
    for epoch in (1, 2, 3):
        for number in range(3):
            record.add_epochs(number, epoch, epoch)
    for number, (outcome, rung) in enumerate(outcomes):
        record.end_trial(number, outcome, rung)
    board = {"number": 0, "name": "WRN-16-0", "family": "wrn", "val_accuracy": 0.3}
    record.finish(leaderboard=[board | {"params": 1000, "macs": 5000}])


def check_store(record: Recorded, store: TrackingStore) -> None:
    """Everything is there once, curves included, and sending it again changes nothing."""
    sent = deliver(record.database, record.search.id, store)
    assert (sent.sent, sent.parked) == (17, [])
    before = runs_told(record, store)
    assert len(before) == 4
    assert [steps for _, _, steps in before].count([1, 2, 3]) == 3
    again = deliver(record.database, record.search.id, store, rebuild=True)
    assert (again.sent, again.parked) == (17, [])
    assert runs_told(record, store) == before


def runs_told(record: Recorded, store: TrackingStore) -> list[tuple[str, str, list[int]]]:
    """Name, status and epochs of each run that a store has of a search."""
    client = open_client(store)
    experiment = client.get_experiment_by_name("wrn_vs_resnext")
    assert experiment is not None
    return [
        (
            run.info.run_name,
            run.info.status,
            [m.step for m in client.get_metric_history(run.info.run_id, "val_accuracy")],
        )
        for run in client.search_runs(
            [experiment.experiment_id], f"tags.search = '{record.search.name}'"
        )
    ]


def of_search(record: Recorded) -> str:
    """Which runs are those of one search; its name may be another one's too."""
    return f"tags.`{UNIQUE_TAG}` LIKE '{record.search.uuid}/%'"


def mlflow_contents(client: Any, record: Recorded, page: int = 1000) -> dict[str, Any]:
    """Everything that the store knows of a search, by run name, without the store's own ids."""
    experiment = client.get_experiment_by_name("wrn_vs_resnext")
    runs = client.search_runs([experiment.experiment_id], of_search(record), max_results=page)
    parent = {r.info.run_id: r.info.run_name for r in runs if r.data.tags["kind"] == "search"}
    answer: dict[str, Any] = {}
    for each in runs:
        tags = dict(each.data.tags)
        if "mlflow.parentRunId" in tags:
            tags["mlflow.parentRunId"] = parent[tags["mlflow.parentRunId"]]
        history = {
            name: [(m.step, m.timestamp, m.value) for m in metrics]
            for name in each.data.metrics
            if (metrics := client.get_metric_history(each.info.run_id, name))
        }
        assert each.info.run_name not in answer, "a run was made twice"
        answer[each.info.run_name] = {
            "status": each.info.status,
            "times": (each.info.start_time, each.info.end_time),
            "params": each.data.params,
            "tags": tags,
            "metrics": history,
            "data": [d.dataset.name for d in each.inputs.dataset_inputs],
            "artifacts": sorted(a.path for a in client.list_artifacts(each.info.run_id)),
        }
    return answer


def said_of(record: Recorded) -> str:
    """All text that a record's tables hold, and all files beside it."""
    told = []
    with record.database.read() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            told += [str(row) for row in connection.execute(sa.select(table))]
    files = [p.read_bytes() for p in record.paths.root.rglob("*") if p.is_file()]
    return "\n".join([*told, *(f.decode(errors="replace") for f in files)])


def free_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
