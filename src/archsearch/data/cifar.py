"""CIFAR-10 and CIFAR-100 from their binary archives, or from the files in them (no pickle).

Layout (Krizhevsky's page, "binary version"): a record is the label (CIFAR-100: coarse label,
fine label), one byte each, then 3 × 32 × 32 bytes: red, green, blue, each row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.reading import read_members, read_whole, refusing_damage
from archsearch.errors import UnfitError

CIFAR10_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
CIFAR100_FILES = ("train.bin", "test.bin")
NUM_COARSE_CLASSES = 20
_SHAPE = (3, 32, 32)


def read_cifar10(paths: Sequence[Path]) -> RawData:
    """Read CIFAR-10 from its archive, or from its five training batches and its test batch."""
    return _read(paths, CIFAR10_FILES, num_label_bytes=1)


def read_cifar100(paths: Sequence[Path]) -> RawData:
    """Read CIFAR-100 (its 100 fine labels) from its archive, or from its two files."""
    return _read(paths, CIFAR100_FILES, num_label_bytes=2)


def _read(paths: Sequence[Path], names: tuple[str, ...], num_label_bytes: int) -> RawData:
    if len(paths) == 1:
        with refusing_damage(paths[0], f"a .tar.gz archive of {', '.join(names)}"):
            members = read_members(paths[0], names)
        sources = {f"{paths[0]}:{name}": content for name, content in members.items()}
        sources = {where: sources[where] for where in (f"{paths[0]}:{n}" for n in names)}
    else:
        sources = {}
        for path in paths:
            with refusing_damage(path, "a CIFAR file in binary format"):
                sources[str(path)] = read_whole(path)
    parts = [_records(where, content, num_label_bytes) for where, content in sources.items()]
    *train, test = parts
    # Published batches are equally long: a shorter one was cut between two records.
    if len({len(part.labels) for part in train}) > 1:
        sizes = ", ".join(
            f"{name}: {len(p.labels)}" for name, p in zip(names, train, strict=False)
        )
        raise UnfitError(
            f"{paths[0].parent if len(paths) > 1 else paths[0]}: damaged: "
            f"all training batches must hold equally many images, but they hold {sizes}"
        )
    return RawData(
        train=LabelledImages(
            np.concatenate([part.images for part in train]),
            np.concatenate([part.labels for part in train]),
        ),
        test=test,
    )


def _records(where: str, content: bytes, num_label_bytes: int) -> LabelledImages:
    size = num_label_bytes + 3 * 32 * 32
    if not content or len(content) % size:
        raise UnfitError(
            f"{where}: damaged: its size must be a multiple of {size} bytes (one record), "
            f"but is {len(content)}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    if num_label_bytes == 2 and records[:, 0].max() >= NUM_COARSE_CLASSES:
        raise UnfitError(
            f"{where}: damaged: coarse labels must lie in 0..{NUM_COARSE_CLASSES - 1}, "
            f"but go up to {records[:, 0].max()}"
        )
    labels = records[:, num_label_bytes - 1].astype(np.int64)
    return LabelledImages(records[:, num_label_bytes:].reshape(-1, *_SHAPE), labels)
