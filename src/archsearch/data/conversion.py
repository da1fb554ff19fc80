"""From decoded images to one Arrow file: split, resized, with the statistics of its channels."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archsearch.data.arrow_file import (
    FORMAT_VERSION,
    DamagedFileError,
    DataHeader,
    SplitArrays,
    SplitName,
    verify_arrow,
    write_arrow,
)
from archsearch.data.folders import made_once
from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.resize import resize_images
from archsearch.data.source import ArrowFile
from archsearch.data.sources import DataSet
from archsearch.data.split import split_of
from archsearch.errors import UnfitError

_log = logging.getLogger(__name__)


def whole_or_made(path: Path, make: Callable[[Path], DataHeader]) -> ArrowFile:
    """An Arrow file, which one process makes if it is not there whole.

    Args:
        path: The file.
        make: Writes it, whole or not at all, and returns its header.

    Raises:
        UnfitError: It cannot be read or made.
    """
    header = undamaged(path, logging.DEBUG)
    if header is None:
        with made_once(path):
            header = undamaged(path, logging.WARNING) or make(path)
    return ArrowFile(path, header)


def undamaged(path: Path, level: int) -> DataHeader | None:
    """The header of a file that is there and whole; None, with a log line, if it is damaged."""
    try:
        return verify_arrow(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        _log.log(level, "%s; it is made again from its source", error)
        return None
    except OSError as error:
        raise UnfitError(f"{path}: cannot be read ({error.strerror or error})") from error


def convert(path: Path, data_set: DataSet, image_size: int, raw: RawData) -> DataHeader:
    """Write the Arrow file of a data set; its header.

    Args:
        path: The file; it appears whole or not at all.
        data_set: What the data is.
        image_size: The side in pixels that images are made to.
        raw: The images and labels.

    Raises:
        UnfitError: Memory or disk does not suffice, or the file cannot be written.
    """
    _require_room(raw, image_size, path.parent)
    try:
        splits = _split_arrays(raw, image_size, name=data_set.name)
    except MemoryError as error:
        raise UnfitError(
            f"`{data_set.name}` at {image_size} × {image_size} does not fit into memory; "
            "ask for a smaller --image-size"
        ) from error
    mean, std = channel_statistics(splits["train"].images)
    header = DataHeader(
        version=FORMAT_VERSION,
        name=data_set.name,
        shape=(data_set.shape[0], image_size, image_size),
        class_names=data_set.class_names,
        flip=data_set.flip,
        multi_label=data_set.multi_label,
        mean=mean,
        std=std,
        train=splits["train"].header(),
        val=splits["val"].header(),
        test=splits["test"].header(),
    )
    write_arrow(path, header, splits)
    return header


def _split_arrays(raw: RawData, image_size: int, *, name: str) -> dict[SplitName, SplitArrays]:
    indices = split_of(raw, name=name)

    def part(data: LabelledImages, rows: npt.NDArray[np.int64]) -> SplitArrays:
        images = resize_images(data.images[rows], image_size)
        return SplitArrays(np.ascontiguousarray(images), data.labels[rows], rows)

    return {
        "train": part(raw.train, indices.train),
        "val": part(raw.train, indices.val),
        "test": part(raw.test or raw.train, indices.test),
    }


def channel_statistics(
    images: npt.NDArray[np.uint8],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in 0..1, from exact counts of the 256 values.

    Args:
        images: (N, C, H, W) of uint8.
    """
    values = np.arange(256, dtype=np.int64)
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.bincount(images[:, channel].reshape(-1), minlength=256)
        total, first, second = (int((counts * values**power).sum()) for power in range(3))
        means.append(first / total / 255)
        variance = (second * total - first * first) / (total * total)
        stds.append(max(variance**0.5, 1.0) / 255)
    return tuple(means), tuple(stds)


def _require_room(raw: RawData, image_size: int, folder: Path) -> None:
    """Refuse before a machine's memory or disk is filled with enlarged images."""
    num_images = len(raw.train.labels) + (0 if raw.test is None else len(raw.test.labels))
    needed = num_images * (raw.train.images.shape[1] * image_size**2 + 16)
    rooms = {f"space in {folder}": shutil.disk_usage(folder).free}
    if (memory := _available_memory()) is not None:
        rooms["memory"] = memory
    for room, free in rooms.items():
        if needed > free:
            raise UnfitError(
                f"images of {image_size} × {image_size} need {needed / 2**20:,.1f} MiB, but there "
                f"are {free / 2**20:,.1f} MiB of {room}; ask for a smaller --image-size"
            )


def _available_memory() -> int | None:
    """Bytes that Linux can give without swapping; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kib[0] * 1024 if kib else None
