"""The data of a search: its source is chosen, its Arrow file is there and verified."""

from __future__ import annotations

import logging
from pathlib import Path

from archsearch.data.arrow_file import DataHeader
from archsearch.data.conversion import undamaged
from archsearch.data.named_source import NamedSource
from archsearch.data.own import is_own
from archsearch.data.own_source import OwnSource
from archsearch.data.source import DataSource
from archsearch.data.spec import DataSpec
from archsearch.errors import UnfitError, UsageError
from archsearch.schema import PreparedData


def prepare(
    spec: DataSpec, *, cache_dir: Path, data_dir: Path | None = None, download: bool = True
) -> PreparedData:
    """Make sure that the Arrow file of a data set is there and undamaged.

    The first process to ask makes it (under a lock, and it appears whole or not at all); the
    others wait and use it. Every call verifies its checksums; a damaged one is made again.

    Args:
        spec: Which data.
        cache_dir: Where Arrow files and downloads are kept; made if need be. A valid file in a
            folder that cannot be written is used.
        data_dir: A folder that holds the source's files; then nothing else is looked at and
            nothing is downloaded.
        download: Whether files that are nowhere may be downloaded.

    Raises:
        UsageError: `train_size` is more than there is, or there is no such data.
        UnfitError: The source is missing or damaged, or `cache_dir` cannot be written.
    """
    made = source_of(spec, data_dir, download=download).arrow_file(cache_dir.absolute())
    return _describe(made.header, spec, made.path)


def source_of(spec: DataSpec, data_dir: Path | None, *, download: bool = True) -> DataSource:
    """The source of the data that is asked for: nothing else names a kind of source."""
    if is_own(spec.name):
        return OwnSource(spec.name, spec.image_size, data_dir)
    return NamedSource(spec.name, spec.image_size, data_dir, download)


def prepared_here(recorded: PreparedData, cache_dir: Path) -> PreparedData | None:
    """Data that was prepared in a folder which has moved since, or None if it is not there."""
    path = cache_dir.absolute() / Path(recorded.path).name
    header = undamaged(path, logging.WARNING)
    if header is None or header.digest != recorded.digest:
        return None
    return recorded.model_copy(update={"path": str(path)})


def _describe(header: DataHeader, spec: DataSpec, path: Path) -> PreparedData:
    available = header.train.num_rows
    if spec.train_size is not None and spec.train_size > available:
        raise UsageError(
            f"`train_size <= {available}` must hold for `{spec.name}` ({header.val.num_rows} of "
            f"its training images are set aside for validation), but got "
            f"train_size={spec.train_size}; leave it out to train on all of them"
        )
    _check_enough(header, spec)
    return PreparedData(
        name=header.name,
        path=str(path),
        num_classes=len(header.class_names),
        in_channels=header.shape[0],
        image_size=header.shape[1],
        class_names=header.class_names,
        num_train=spec.train_size or available,
        num_val=header.val.num_rows,
        num_test=header.test.num_rows,
        train_size=spec.train_size,
        mean=header.mean,
        std=header.std,
        digest=header.digest,
        split_digest=header.split_digest,
        flip=header.flip,
        multi_label=header.multi_label,
    )


def _check_enough(header: DataHeader, spec: DataSpec) -> None:
    """Refuse fewer training images than classes: some would never be seen."""
    num_classes, available = len(header.class_names), header.train.num_rows
    if header.multi_label:
        return
    if available < num_classes:
        raise UnfitError(
            f"the data of `{header.name}` leaves {available} images to train on, fewer than its "
            f"{num_classes} classes: give more images"
        )
    if spec.train_size is not None and spec.train_size < num_classes:
        raise UsageError(
            f"`train_size >= {num_classes}` must hold for `{spec.name}`, one image a class, but "
            f"got train_size={spec.train_size}"
        )
