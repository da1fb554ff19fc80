"""Trials and epochs as tables: typed, whole, and read alike by whoever opens them."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.report.tables import epochs_table, trials_table, write_tables
from archsearch.spaces.trial_config import TrialConfig


def test_a_row_a_trial_says_what_the_record_says(recorded: RecordedSearch) -> None:
    rows = trials_table(recorded).to_pylist()
    assert [row["number"] for row in rows] == [t.number for t in recorded.trials]
    for row, trial in zip(rows, recorded.trials, strict=True):
        assert row["val_accuracy"] == trial.value
        assert row["outcome"] == trial.outcome
        assert row["num_macs"] == trial.complexity.macs
        assert row["epochs"] == len(trial.epochs)
        assert row["epochs_started"] >= row["epochs"]
        assert TrialConfig.model_validate_json(row["config"]) == trial.config
        given = {k.replace("/", "_"): v for k, v in trial.params.items() if k != "family"}
        own = {k: v for k, v in row.items() if k.startswith(("wrn_", "resnext_", "training_"))}
        assert {k: v for k, v in own.items() if v is not None} == given


def test_types_follow_from_the_space_not_from_what_was_drawn(recorded: RecordedSearch) -> None:
    wanted = {
        "number": pa.int64(),
        "val_accuracy": pa.float64(),
        "created": pa.timestamp("ms", tz="UTC"),
        "wrn_depth": pa.int64(),
        "wrn_block": pa.string(),
        "wrn_dropout": pa.float64(),
        "resnext_cardinality": pa.int64(),
        "training_learning_rate": pa.float64(),
        "training_batch_size": pa.int64(),
    }
    for trials in (recorded.trials, recorded.trials[:1], []):
        schema = trials_table(replace(recorded, trials=trials)).schema
        assert {name: schema.field(name).type for name in wanted} == wanted
    described = trials_table(recorded).schema
    assert all(described.field(name).metadata[b"description"] for name in described.names)


def test_a_row_an_epoch_in_the_order_of_the_record(recorded: RecordedSearch) -> None:
    table = epochs_table(recorded)
    assert table.num_rows == sum(len(trial.epochs) for trial in recorded.trials)
    sequence = sorted(table.column("sequence").to_pylist())
    assert sequence == list(range(1, table.num_rows + 1))
    assert table.schema.field("val_loss").type == pa.float64()
    assert table.schema.field("diverged").type == pa.bool_()
    first = table.to_pylist()[0]
    assert first["val_accuracy"] == recorded.trials[0].epochs[0].value


def _pandas(path: str) -> dict[str, Any]:
    pandas = importlib.import_module("pandas")
    frame = pandas.read_parquet(path)
    done = frame[frame.outcome == "completed"]
    assert str(frame.created.dtype) == "datetime64[ms, UTC]"
    best: dict[str, Any] = done.groupby("family").val_accuracy.max().to_dict()
    return best


def _polars(path: str) -> dict[str, Any]:
    polars = importlib.import_module("polars")
    done = polars.read_parquet(path).filter(polars.col("outcome") == "completed")
    best = done.group_by("family").agg(polars.col("val_accuracy").max())
    assert done.schema["wrn_depth"] == polars.Int64
    return dict(best.iter_rows())


def _duckdb(path: str) -> dict[str, Any]:
    duckdb = importlib.import_module("duckdb")
    query = (
        f"select family, max(val_accuracy) from '{path}' where outcome = 'completed' "
        "and training_learning_rate > 0 and created < now() group by family"
    )
    return dict(duckdb.sql(query).fetchall())


@pytest.mark.parametrize("read", [_pandas, _polars, _duckdb])
def test_pandas_polars_and_duckdb_read_the_same(read: Any, recorded: RecordedSearch) -> None:
    path, epochs = write_tables(recorded)
    best: dict[str, float] = {}
    for trial in recorded.trials:
        if trial.outcome == "completed" and trial.value is not None:
            best[trial.family] = max(best.get(trial.family, 0.0), trial.value)
    assert len(best) == 2
    assert read(str(path)) == best
    assert epochs.is_file()
