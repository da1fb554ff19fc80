"""Trials and epochs as Arrow tables with typed columns: what people query.

Searched parameters are flat columns, `wrn/depth` as `wrn_depth`, null where a trial's family has
no such field: pandas, Polars and SQL address a flat column without quotes, while a struct is an
object column in pandas. The whole resolved configuration is a JSON text in the column `config`.
Each field's metadata holds a description.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.files import atomic_writer
from archsearch.record.cells import finite
from archsearch.record.paths import SearchPaths
from archsearch.record.trial import EpochRecord, TrialRecord
from archsearch.spaces.parameters import AnyParameter, Choice, FloatRange, IntRange
from archsearch.training.result import EpochResult

_TIME = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True)
class _Column:
    """One column: its type, what it means, and how a trial gives it."""

    name: str
    type: pa.DataType
    description: str
    value: Callable[[TrialRecord], object]


def trials_table(recorded: RecordedSearch) -> pa.Table:
    """One row a trial, by number; see the module for parameters.

    Raises:
        ValueError: Two columns would have one name (a family named so that its field's column
            is another one).
    """
    columns = [*_trial_columns(recorded), *_parameter_columns(recorded), _CONFIG]
    return _table(recorded, columns, recorded.trials)


def epochs_table(recorded: RecordedSearch) -> pa.Table:
    """One row a finished epoch, by trial and epoch; `sequence` is the order of recording."""
    rows = [(trial, epoch) for trial in recorded.trials for epoch in trial.epochs]
    arrays = {
        name: (pa.array([value(t, e) for t, e in rows], kind), told)
        for name, kind, told, value in _epoch_columns()
    }
    fields = [
        pa.field(name, array.type, metadata={"description": told})
        for name, (array, told) in arrays.items()
    ]
    schema = pa.schema(fields, metadata=_metadata(recorded))
    return pa.table([array for array, _ in arrays.values()], schema=schema)


def write_tables(recorded: RecordedSearch, paths: SearchPaths | None = None) -> tuple[Path, Path]:
    """Write `trials.parquet` and `epochs.parquet`; their paths.

    Args:
        recorded: What the search left behind.
        paths: Of the folder that takes them; None takes the search's.
    """
    paths = paths or recorded.paths
    tables = (
        (paths.trials_table, trials_table(recorded)),
        (paths.epochs_table, epochs_table(recorded)),
    )
    for path, table in tables:
        with atomic_writer(path) as handle:
            pq.write_table(table, handle, compression="zstd")
    return paths.trials_table, paths.epochs_table


def _trial_columns(recorded: RecordedSearch) -> list[_Column]:
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    started, objective = recorded.epochs_started, recorded.search.objective

    def size(key: str) -> Callable[[TrialRecord], object]:
        return lambda trial: getattr(trial.complexity, key)

    return [
        _Column("number", whole, "ours, from 0 without gaps", lambda t: t.number),
        _Column("family", text, "of architectures", lambda t: t.family),
        _Column("name", text, "published-style name of the variant", lambda t: t.name),
        _Column("arm", text, "why it was tried: who drew it", lambda t: t.arm),
        _Column("outcome", text, "how it ended; null while it does not", lambda t: t.outcome),
        _Column("reason", text, "why it ended so", lambda t: t.reason),
        _Column(
            objective.metric,
            real,
            f"{objective.meaning} after its last epoch; full fidelity only if completed",
            lambda t: t.value,
        ),
        _Column("epochs", whole, "finished epochs", lambda t: len(t.epochs)),
        _Column("max_epochs", whole, "of full fidelity", lambda t: t.config.max_epochs),
        _Column(
            "epochs_started",
            whole,
            "epochs that workers started, repeated ones included; null without the files",
            lambda t: started.get(t.number),
        ),
        _Column("rung_epochs", whole, "the rung that stopped it", lambda t: t.rung_epochs),
        _Column(
            "shadow_rung_epochs",
            whole,
            "the rung that would have stopped it, had its arm allowed",
            lambda t: t.shadow_rung_epochs,
        ),
        _Column("attempts", whole, "workers that had it, one after another", _num_attempts),
        _Column("num_params", whole, "parameters of the network", size("params")),
        _Column("num_macs", whole, "multiply-accumulates an image", size("macs")),
        _Column("num_activations", whole, "elements of feature maps", size("activations")),
        _Column("train_seconds", real, "in finished epochs", lambda t: _sum(t, "train_seconds")),
        _Column("val_seconds", real, "in finished epochs", lambda t: _sum(t, "val_seconds")),
        _Column("seed", whole, "the trial's own", lambda t: t.config.seed),
        _Column("config_digest", text, "of all but the seed", lambda t: t.config_digest),
        _Column("created", _TIME, "when it was first issued", lambda t: t.created_ms),
        _Column("finished", _TIME, "when it got its outcome", lambda t: t.finished_ms),
    ]


_CONFIG = _Column(
    "config",
    pa.string(),
    "the resolved configuration, as JSON",
    lambda t: json.dumps(t.config.model_dump(mode="json"), sort_keys=True),
)


def _num_attempts(trial: TrialRecord) -> int:
    return len(trial.attempts)


def _sum(trial: TrialRecord, key: str) -> float:
    return float(sum(getattr(epoch.result, key) for epoch in trial.epochs))


def _parameter_columns(recorded: RecordedSearch) -> list[_Column]:
    """A column a searched parameter, typed by the space, or by its values where it left it."""

    def value_of(name: str) -> Callable[[TrialRecord], object]:
        return lambda trial: trial.params.get(name)

    found: dict[str, list[object]] = {}
    for trial in recorded.trials:
        for name, value in trial.params.items():
            found.setdefault(name, []).append(value)
    parameters = space_parameters(recorded)
    names = [name for name in {**parameters, **found} if name != "family"]
    columns = []
    for name in names:
        values = [*found.get(name, []), *_typical(parameters.get(name))]
        kind = _type_of(values)
        convert = str if kind == pa.string() else None
        told = f"searched parameter {name}"
        columns.append(_Column(column_name(name), kind, told, _as(value_of(name), convert)))
    return columns


def _as(
    value: Callable[[TrialRecord], object], convert: Callable[[object], object] | None
) -> Callable[[TrialRecord], object]:
    """The value, converted unless it is missing."""
    if convert is None:
        return value

    def converted(trial: TrialRecord) -> object:
        plain = value(trial)
        return None if plain is None else convert(plain)

    return converted


def column_name(parameter: str) -> str:
    """`wrn/depth` as `wrn_depth`."""
    return parameter.replace("/", "_")


def space_parameters(recorded: RecordedSearch) -> dict[str, AnyParameter]:
    """The searched parameters of all families, by full name; empty for an unreadable space."""
    space = recorded.space
    if space is None:
        return {}
    return {
        name: parameter
        for family in space.families
        for name, parameter in space.parameters(family).items()
    }


def _typical(parameter: AnyParameter | None) -> tuple[object, ...]:
    """Values that have the parameter's type."""
    match parameter:
        case IntRange():
            return (parameter.low,)
        case FloatRange():
            return (float(parameter.low),)
        case Choice():
            return parameter.values
        case _:
            return ()


def _type_of(values: Iterable[object]) -> pa.DataType:
    """The narrowest of bool, int64, float64 and string that holds all values."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


_EPOCH_TYPES: Mapping[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}

_EpochValue = Callable[[TrialRecord, EpochRecord], object]


def _epoch_columns() -> list[tuple[str, pa.DataType, str, _EpochValue]]:
    whole, text = pa.int64(), pa.string()
    columns: list[tuple[str, pa.DataType, str, _EpochValue]] = [
        ("number", whole, "the trial", lambda t, e: t.number),
        ("family", text, "the trial's", lambda t, e: t.family),
        ("epoch", whole, "from 1", lambda t, e: e.epoch),
        ("attempt", whole, "in which it was trained", lambda t, e: e.attempt),
        ("sequence", whole, "place among all recorded epochs", lambda t, e: e.sequence),
    ]
    for name, field in EpochResult.model_fields.items():
        if name != "epoch":
            kind = _EPOCH_TYPES.get(field.annotation, text)
            told = field.description or f"the epoch's {name.replace('_', ' ')}"
            columns.append((name, kind, told, _result_field(name, kind)))
    columns.append(("created", _TIME, "when it was recorded", lambda t, e: e.created_ms))
    return columns


def _result_field(name: str, kind: pa.DataType) -> _EpochValue:
    def value(trial: TrialRecord, epoch: EpochRecord) -> Any:
        plain = getattr(epoch.result, name)
        return finite(plain) if kind == pa.float64() else plain

    return value


def _table(
    recorded: RecordedSearch, columns: list[_Column], trials: Iterable[TrialRecord]
) -> pa.Table:
    rows = list(trials)
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        double = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"columns have one name: {', '.join(double)}")
    schema = pa.schema(
        [
            pa.field(column.name, column.type, metadata={"description": column.description})
            for column in columns
        ],
        metadata=_metadata(recorded),
    )
    arrays = [pa.array([column.value(t) for t in rows], column.type) for column in columns]
    return pa.table(arrays, schema=schema)


def _metadata(recorded: RecordedSearch) -> dict[str, str]:
    return {"search": recorded.search.name, "search_uuid": recorded.search.uuid}
