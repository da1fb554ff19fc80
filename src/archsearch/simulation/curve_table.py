"""Tables of real learning curves: one row a configuration that was trained to its end.

A CSV file, or a Parquet file of the same form, has a column `acc_N` an epoch, and every other
column is a parameter. A search's own `epochs.parquet` has one row an epoch; the parameters of its
trials are in `trials.parquet` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from archsearch.errors import UnfitError, UsageError
from archsearch.spaces.limits import MAX_EPOCHS
from archsearch.spaces.parameters import Scalar

ONE_FAMILY = "table"
"""The family of all rows of a table that has no column `family`."""

_EPOCH = re.compile(r"acc_(\d+)")
_SEARCHED = "searched parameter "

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CurveTable:
    """Whole learning curves, and the configurations that they belong to.

    Attributes:
        name: What people call it.
        curves: Validation accuracy by row and epoch; NaN from the epoch on in which it diverged.
        parameters: Column → a value a row; None where the row's family has no such parameter.
        families: The family of each row.
        seconds: What an epoch of each row takes. Recorded by a search; of another table, in
            arbitrary units: the square root of the number of parameters, where a column tells
            it, or the same for all.
        left_out: Columns that are no parameters: one value in all rows, or texts that name rows.
    """

    name: str
    curves: Floats
    parameters: Mapping[str, Sequence[Scalar | None]]
    families: Sequence[str]
    seconds: Floats
    left_out: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int:
        """How many configurations there are."""
        return int(self.curves.shape[0])

    @property
    def max_epochs(self) -> int:
        """Epochs of full fidelity."""
        return int(self.curves.shape[1])

    @cached_property
    def best(self) -> float:
        """The best accuracy after the last epoch."""
        return float(np.nanmax(self.curves[:, -1]))


def read_curve_table(path: Path) -> CurveTable:
    """Read a table of curves.

    Raises:
        UsageError: There is no such file.
        UnfitError: It cannot be read, or is no table of curves; the sentence says why.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}: --curves takes a CSV or Parquet file")
    table = _arrow_table(path)
    if {"number", "epoch", "val_accuracy"} <= set(table.column_names):
        return _checked(path, _of_search(path, table))
    return _checked(path, _of_rows(path, table))


def _arrow_table(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        return pyarrow.csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = "Parquet" if path.suffix == ".parquet" else "CSV"
        raise UnfitError(f"{path} cannot be read as {kind}: {reason}") from None


def _checked(path: Path, table: CurveTable) -> CurveTable:
    if table.num_rows < 2 or not np.isfinite(table.curves[:, -1]).any():
        raise UnfitError(
            f"{path} has {table.num_rows} rows, of which "
            f"{int(np.isfinite(table.curves[:, -1]).sum())} have an accuracy after the last "
            "epoch; a replay needs at least two rows and one such accuracy"
        )
    if not table.parameters and len(set(table.families)) == 1:
        raise UnfitError(
            f"{path} has no parameter: a column beside acc_* with more than one value, which is "
            "not a text that names each row, is needed for a sampler to choose by"
        )
    return table


def _of_rows(path: Path, table: pa.Table) -> CurveTable:
    """A table with a column an epoch."""
    if len(set(table.column_names)) < len(table.column_names):
        raise UnfitError(f"{path} has two columns of one name; rename one of them")
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    curves = _curves(path, {n: columns.pop(n) for n in list(columns) if _EPOCH.fullmatch(n)})
    num_params = columns.get("num_params")
    seconds = np.ones(len(curves))
    if num_params is not None and all(isinstance(n, int | float) and n > 0 for n in num_params):
        # Twice the width of every layer is four times the parameters and twice the activations.
        seconds = np.sqrt(np.array(num_params, dtype=float))
        seconds /= seconds.mean()
    families = [str(name) for name in columns.pop("family", [ONE_FAMILY] * len(curves))]
    parameters = {n: _values(v) for n, v in columns.items() if _is_parameter(v)}
    left_out = tuple(name for name in columns if name not in parameters)
    return CurveTable(path.stem, curves, parameters, families, seconds, left_out)


def _curves(path: Path, columns: Mapping[str, list[object]]) -> Floats:
    """Rows by epochs; from the first value that is missing or not finite on, NaN."""
    epochs = sorted(columns, key=lambda name: int(name.removeprefix("acc_")))
    numbers = [int(name.removeprefix("acc_")) for name in epochs]
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        found = ", ".join(epochs[:8]) or "none"
        raise UnfitError(
            f"{path} needs a column acc_N for each epoch, numbered without gaps, such as acc_1, "
            f"acc_2, …; found: {found}"
        )
    if len(numbers) > MAX_EPOCHS:
        raise UnfitError(f"{path} has {len(numbers)} epochs; at most {MAX_EPOCHS} are allowed")
    for name in epochs:
        odd = [v for v in columns[name] if not isinstance(v, int | float | None)]
        if odd or any(isinstance(v, bool) for v in columns[name]):
            raise UnfitError(f"{path}: column {name} must hold numbers, got {str(odd[:1])[:60]}")
    curves = np.array([columns[name] for name in epochs], dtype=float).T
    return _cut(curves)


def _cut(curves: Floats) -> Floats:
    """Nothing is known after the first value that is not finite."""
    lost = np.logical_or.accumulate(~np.isfinite(curves), axis=1)
    return np.where(lost, np.nan, curves)


def _is_parameter(values: Sequence[object]) -> bool:
    """Whether a sampler can learn from the column."""
    distinct = set(values)
    names_rows = any(isinstance(v, str) for v in values) and 2 * len(distinct) > len(values)
    return len(distinct) > 1 and not names_rows


def _values(values: Sequence[object]) -> list[Scalar | None]:
    """What pyarrow reads beyond our scalars (dates and the like) is a text."""
    return [v if isinstance(v, bool | int | float | str | None) else str(v) for v in values]


def _of_search(path: Path, epochs: pa.Table) -> CurveTable:
    """A search's `epochs.parquet`: its completed trials, by number."""
    beside = path.with_name("trials.parquet")
    if not beside.is_file():
        raise UsageError(
            f"{path} is the epochs of a search, whose parameters are in {beside}: there is no "
            "such file"
        )
    trials = _arrow_table(beside)
    completed = [
        row
        for row in trials.to_pylist()
        if row.get("outcome") == "completed" and row.get("arm") != "confirm"
    ]
    by_trial: dict[int, list[dict[str, object]]] = {row["number"]: [] for row in completed}
    for epoch in epochs.to_pylist():
        by_trial.get(epoch["number"], []).append(epoch)
    max_epochs = max((row["epochs"] for row in completed), default=0)
    whole = [row for row in completed if len(by_trial[row["number"]]) == max_epochs]
    if len(whole) < 2:
        raise UnfitError(
            f"{path} has {len(whole)} trials that were trained to their end; a replay needs at "
            "least two, better a hundred: search with `--scheduler none`"
        )
    order = [sorted(by_trial[row["number"]], key=_epoch_number) for row in whole]
    curves = np.array([[e["val_accuracy"] for e in one] for one in order], dtype=float)
    seconds = [row["train_seconds"] + row["val_seconds"] for row in whole]
    parameters = {
        name: [row[name] for row in whole]
        for name in _searched(trials.schema)
        if len({row[name] for row in whole}) > 1
    }
    families = [row["family"] for row in whole]
    name = (trials.schema.metadata or {}).get(b"search", path.stem.encode()).decode()
    return CurveTable(
        name, _cut(curves), parameters, families, np.array(seconds, dtype=float) / max_epochs
    )


def _epoch_number(epoch: Mapping[str, object]) -> int:
    return int(str(epoch["epoch"]))


def _searched(schema: pa.Schema) -> list[str]:
    """Columns of searched parameters: their descriptions say so."""
    told = {field.name: (field.metadata or {}).get(b"description", b"") for field in schema}
    return [name for name, text in told.items() if text.decode().startswith(_SEARCHED)]
