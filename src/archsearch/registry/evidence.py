"""What travels with a model version: its answers on the test split, and its evidence card.

They lie in the folder `evidence/` of the logged model, so whoever has the version can compare
another model with it image by image, without its search's record and without evaluating it again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from archsearch.files import write_atomic

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "evidence"
PREDICTIONS = "test_predictions.parquet"
CARD_JSON = "card.json"
CARD_MARKDOWN = "card.md"

Source = Literal["its search's record", "the version's evidence", "evaluated now"]


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers on a test split.

    Attributes:
        predictions: (N,), a class or a mask of classes for each image.
        source: Where they come from.
    """

    predictions: npt.NDArray[np.int64]
    source: Source


def write_predictions(
    path: Path,
    predictions: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    about: Mapping[str, str],
) -> None:
    """Write a model's answers on a test split as a Parquet file, a row an image.

    Args:
        path: The file.
        predictions: (N,), a class or a mask of classes for each image.
        labels: (N,), the same of the truth.
        about: Whose answers on what; `read_predictions` asks for it.
    """
    table = pa.table(
        {
            "image": pa.array(np.arange(len(labels)), pa.int32()),
            "label": pa.array(labels.astype(np.int64)),
            "prediction": pa.array(predictions.astype(np.int64)),
        }
    )
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(dict(about)), buffer)
    write_atomic(path, buffer.getvalue().to_pybytes())


def read_predictions(
    path: Path, num_images: int, about: Mapping[str, str]
) -> npt.NDArray[np.int64] | None:
    """The answers of such a file; None if it is of something else, or not whole.

    Args:
        path: The file.
        num_images: So many rows it must have.
        about: What it must have been written with, at least.
    """
    try:
        table = pq.read_table(path)
        told = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        if len(table) != num_images or any(told.get(k) != v for k, v in about.items()):
            return None
        predictions: npt.NDArray[np.int64] = table["prediction"].to_numpy().astype(np.int64)
    except (pa.ArrowException, KeyError, ValueError, OSError):
        return None
    return predictions


def attach(client: MlflowClient, model_id: str, files: Mapping[str, bytes | str | Path]) -> None:
    """Put files into a logged model's folder `evidence`, over earlier ones of their names.

    Args:
        client: Of the store.
        model_id: The logged model's.
        files: Contents, or where they are, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(Path(folder) / FOLDER, files)
        client.log_model_artifacts(model_id, folder)


def attach_to_run(
    client: MlflowClient, run_id: str, place: str, files: Mapping[str, bytes | str | Path]
) -> None:
    """Put files among a run's artifacts, over earlier ones of their names.

    Args:
        client: Of the store.
        run_id: The run's.
        place: Folder among its artifacts.
        files: Contents, or where they are, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(Path(folder), files)
        client.log_artifacts(run_id, folder, place)


def _lay_out(folder: Path, files: Mapping[str, bytes | str | Path]) -> None:
    for name, content in files.items():
        write_atomic(folder / name, content.read_bytes() if isinstance(content, Path) else content)
