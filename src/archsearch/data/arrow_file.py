"""The Arrow IPC file of a data set: three record batches, a header, and checksums of both.

Each split is one uncompressed record batch with the columns `image` (fixed-size binary, C·H·W
bytes), `label` (a class, or a mask of classes with one bit each) and `index` (the image's place in
its source), both int64: every column is one contiguous buffer, so readers map it and copy nothing.
The header is JSON in the schema's metadata.
"""

# (pyarrow is untyped: its names count as not exported)

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from archsearch.errors import UnfitError
from archsearch.files import atomic_writer
from archsearch.schema import Frozen, digest_of

_T = TypeVar("_T", bound=np.generic)

FORMAT_VERSION = 1
SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")
_HEADER, _HEADER_SHA256 = b"archsearch.header", b"archsearch.header.sha256"


class DamagedFileError(UnfitError):
    """Raised when an Arrow file is not the whole, unchanged file that was written."""


class SplitHeader(Frozen):
    """How many rows a split has, and the SHA-256 of each column's bytes (little-endian)."""

    num_rows: int
    images: str
    labels: str
    indices: str


class DataHeader(Frozen):
    """What the file says about itself."""

    version: int
    name: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    flip: bool
    multi_label: bool = False
    """Whether labels are masks of classes; files from before there were any do not say."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: SplitHeader
    val: SplitHeader
    test: SplitHeader

    def split(self, name: SplitName) -> SplitHeader:
        """The header of one split."""
        parts: dict[SplitName, SplitHeader] = {
            "train": self.train,
            "val": self.val,
            "test": self.test,
        }
        return parts[name]

    @property
    def digest(self) -> str:
        """SHA-256 of images, labels and splits."""
        splits = {name: self.split(name).model_dump() for name in SPLIT_NAMES}
        return digest_of({"shape": list(self.shape), "splits": splits})

    @property
    def split_digest(self) -> str:
        """SHA-256 of which image is in which split."""
        return digest_of({name: self.split(name).indices for name in SPLIT_NAMES})


@dataclass(frozen=True)
class SplitArrays:
    """One split in memory: images (N, C, H, W) uint8, labels (N,) and indices (N,) int64."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]

    def header(self) -> SplitHeader:
        """Count the rows and compute the checksums."""
        return SplitHeader(
            num_rows=len(self.labels),
            images=_sha256(self.images),
            labels=_sha256(self.labels.astype("<i8", copy=False)),
            indices=_sha256(self.indices.astype("<i8", copy=False)),
        )


def write_arrow(path: Path, header: DataHeader, splits: dict[SplitName, SplitArrays]) -> None:
    """Write the file: whole or not at all.

    Raises:
        OSError: If the folder cannot be written or is full; nothing is left behind.
    """
    text = header.model_dump_json().encode()
    row_bytes = int(np.prod(header.shape))
    schema = pa.schema(
        [("image", pa.binary(row_bytes)), ("label", pa.int64()), ("index", pa.int64())],
        metadata={_HEADER: text, _HEADER_SHA256: hashlib.sha256(text).hexdigest().encode()},
    )
    with atomic_writer(path) as sink, pa.ipc.new_file(sink, schema) as writer:
        for name in SPLIT_NAMES:
            split = splits[name]
            rows = len(split.labels)
            images = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(row_bytes), rows, [None, pa.py_buffer(split.images)]
            )
            columns = [images, pa.array(split.labels), pa.array(split.indices)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


class ArrowFile:
    """An open Arrow file, mapped privately into memory.

    The mapping is copy-on-write: processes share its pages, and writing into an array changes
    this process's copy alone, never the file.

    Raises:
        FileNotFoundError: If there is none at `path`.
        DamagedFileError: If it or its header is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as handle:
            try:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)
            except ValueError as error:  # an empty file cannot be mapped
                raise DamagedFileError(f"{path}: damaged: {error}") from error
        self._base = pa.py_buffer(self._map)
        try:
            self._reader = pa.ipc.open_file(pa.BufferReader(self._base))
            self.header = _read_header(self._reader.schema.metadata or {})
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise DamagedFileError(f"{path}: damaged: {_first_line(error)}") from error

    def read(self, name: SplitName, *, verify: bool = True) -> SplitArrays:
        """One split as views on the mapped file; the other splits' bytes are not touched.

        Args:
            name: Which split.
            verify: Whether to compare the bytes with their checksums (one pass over them).

        Raises:
            DamagedFileError: If anything about it is not what was written.
        """
        expected = self.header.split(name)
        try:
            arrays = self._views(name, expected.num_rows)
        except (pa.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
            raise DamagedFileError(f"{self._path}: damaged: {_first_line(error)}") from error
        if verify and arrays.header() != expected:
            raise DamagedFileError(
                f"{self._path}: damaged: the {name} split's bytes do not have their SHA-256"
            )
        return arrays

    def _views(self, name: SplitName, num_rows: int) -> SplitArrays:
        if self._reader.num_record_batches != len(SPLIT_NAMES):
            raise ValueError(f"{self._reader.num_record_batches} record batches instead of 3")
        batch = self._reader.get_batch(SPLIT_NAMES.index(name))
        if batch.num_rows != num_rows or batch.num_columns != 3:
            raise ValueError(f"{batch.num_rows} rows instead of {num_rows}")
        shape = (num_rows, *self.header.shape)
        return SplitArrays(
            images=self._view(batch.column(0), np.uint8, shape),
            labels=self._view(batch.column(1), np.int64, (num_rows,)),
            indices=self._view(batch.column(2), np.int64, (num_rows,)),
        )

    def _view(self, column: pa.Array, dtype: type[_T], shape: tuple[int, ...]) -> npt.NDArray[_T]:
        # Arrow's own buffers count as read-only; the same bytes of the private mapping are not.
        validity, values = column.buffers()
        count = int(np.prod(shape))
        if validity is not None or column.offset or values.size < count * np.dtype(dtype).itemsize:
            raise ValueError("a column is not the plain buffer that was written")
        offset = values.address - self._base.address
        return np.frombuffer(self._map, dtype, count, offset).reshape(shape)


def verify_arrow(path: Path) -> DataHeader:
    """Read a file whole and compare every split with its checksums.

    Raises:
        FileNotFoundError: If there is none at `path`.
        DamagedFileError: If it is not what was written.
    """
    arrow_file = ArrowFile(path)
    for name in SPLIT_NAMES:
        arrow_file.read(name)
    return arrow_file.header


def _read_header(metadata: dict[bytes, bytes]) -> DataHeader:
    text = metadata[_HEADER]
    if hashlib.sha256(text).hexdigest().encode() != metadata[_HEADER_SHA256]:
        raise ValueError("the header does not have its SHA-256")
    if (version := json.loads(text).get("version")) != FORMAT_VERSION:
        raise ValueError(f"format version {version} instead of {FORMAT_VERSION}")
    try:
        return DataHeader.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("the header lacks something") from error


def _sha256(array: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
