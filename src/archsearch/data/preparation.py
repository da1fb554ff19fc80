"""From a source to one Arrow file, made once whoever asks, verified whenever it is asked for."""

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
from archsearch.data.locate import (
    SourceFiles,
    find_in_data_dir,
    find_or_download,
    fingerprint,
)
from archsearch.data.own import data_name, is_own, read_own, subject_of
from archsearch.data.raw import LabelledImages, RawData, check_raw
from archsearch.data.resize import resize_images
from archsearch.data.sources import DataSet, data_set_named
from archsearch.data.spec import DataSpec
from archsearch.data.split import split_of
from archsearch.errors import UnfitError, UsageError
from archsearch.schema import PreparedData
from archsearch.user_code import call_in_process

_log = logging.getLogger(__name__)


def prepare(
    spec: DataSpec, *, cache_dir: Path, data_dir: Path | None = None, download: bool = True
) -> PreparedData:
    """Make sure that the Arrow file of a data set is there and undamaged.

    The first process to ask makes it (under a lock, and it appears whole or not at all); the
    others wait and use it. Every call verifies its checksums; a damaged one is made again.
    Data from `data_dir` gets a file of its own, named by its contents, so that it is never mixed
    up with the published data or with another folder's. So does data of the user's own, which is
    read at every call: only then is it known what it holds now.

    Args:
        spec: Which data.
        cache_dir: Where Arrow files and downloads are kept; made if need be. A valid file in a
            folder that cannot be written is used.
        data_dir: A folder that holds the source's files; then nothing else is looked at and
            nothing is downloaded.
        download: Whether files that are nowhere may be downloaded.

    Raises:
        UsageError: If `train_size` is more than there is, or data of one's own is not there.
        UnfitError: If the source is missing or damaged, or `cache_dir` cannot be written.
    """
    if is_own(spec.name):
        return _prepare_own(spec, cache_dir, data_dir)
    data_set = data_set_named(spec.name)
    image_size = spec.image_size or data_set.shape[1]
    stem, downloads = f"{spec.name}-{image_size}", cache_dir.absolute() / "downloads"

    named = None if data_dir is None else find_in_data_dir(data_set, data_dir.absolute())
    if named is not None and named.paths:
        stem += f"-{fingerprint(named)}"

    def make(path: Path) -> DataHeader:
        files = named or find_or_download(data_set, downloads, may_download=download)
        return _make(path, data_set, image_size, _read(data_set, files))

    return _found_or_made(spec, cache_dir.absolute() / f"{stem}.arrow", make)


def prepared_here(recorded: PreparedData, cache_dir: Path) -> PreparedData | None:
    """Data that was prepared in a folder which has moved since, or None if it is not there."""
    path = cache_dir.absolute() / Path(recorded.path).name
    header = _undamaged(path, logging.WARNING)
    if header is None or header.digest != recorded.digest:
        return None
    return recorded.model_copy(update={"path": str(path)})


def _prepare_own(spec: DataSpec, cache_dir: Path, data_dir: Path | None) -> PreparedData:
    """Read and check the user's data, then make its Arrow file unless it is there."""
    if data_dir is not None:
        raise UsageError(
            f"--data-dir holds the files of a data set that is known by name; `{spec.name}` finds "
            "its own: leave --data-dir out"
        )
    path = Path(
        call_in_process(
            f"{__name__}:make_own",
            {
                "reference": spec.name,
                "image_size": spec.image_size,
                "cache_dir": str(cache_dir.absolute()),
            },
            subject=subject_of(spec.name),
        )
    )
    header = _undamaged(path, logging.WARNING)
    if header is None:
        raise UnfitError(f"{path}: is gone or damaged since it was made; run the command again")
    return _describe(header, spec, path)


def make_own(*, reference: str, image_size: int | None, cache_dir: str) -> str:
    """Read the user's data, and make sure that its Arrow file is there and undamaged.

    It runs the user's code: `call_in_process` calls it in a process of its own.

    Args:
        reference: Names the user's data.
        image_size: The side in pixels that images are made to; None keeps theirs.
        cache_dir: Where Arrow files are kept, as an absolute path.

    Returns:
        The file's path.

    Raises:
        UsageError, UnfitError: As `prepare` does.
    """
    own = read_own(reference, image_size)
    side = own.described.shape[1]
    path = Path(cache_dir) / f"{data_name(reference)}-{side}-{own.fingerprint}.arrow"
    if _undamaged(path, logging.DEBUG) is None:
        with made_once(path):
            if _undamaged(path, logging.WARNING) is None:
                _make(path, own.described, side, own.raw)
    return str(path)


def _found_or_made(spec: DataSpec, path: Path, make: Callable[[Path], DataHeader]) -> PreparedData:
    """The data of an Arrow file, made by one process if it is not there whole."""
    header = _undamaged(path, logging.DEBUG)
    if header is None:
        with made_once(path):
            header = _undamaged(path, logging.WARNING) or make(path)
    return _describe(header, spec, path)


def _undamaged(path: Path, level: int) -> DataHeader | None:
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


def _read(data_set: DataSet, files: SourceFiles) -> RawData:
    try:
        raw = data_set.read(files.paths)
        num_classes = len(data_set.class_names)
        num_labels = 2**num_classes if data_set.multi_label else num_classes
        check_raw(raw, name=data_set.name, shape=data_set.shape, num_labels=num_labels)
    except UnfitError as error:
        raise UnfitError(f"{error}; {files.remedy}") from error
    return raw


def _make(path: Path, data_set: DataSet, image_size: int, raw: RawData) -> DataHeader:
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


def _describe(header: DataHeader, spec: DataSpec, path: Path) -> PreparedData:
    available = header.train.num_rows
    if spec.train_size is not None and spec.train_size > available:
        raise UsageError(
            f"`train_size <= {available}` must hold for `{spec.name}` ({header.val.num_rows} of "
            f"its training images are set aside for validation), but got "
            f"train_size={spec.train_size}; leave it out to train on all of them"
        )
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
