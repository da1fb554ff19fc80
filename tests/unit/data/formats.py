"""Small sources, written in the published formats, with known contents."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io

from archsearch.data import DATA_SETS

NUM_TRAIN, NUM_TEST = 40, 12


@dataclass(frozen=True)
class Contents:
    """What a source was written with: images (N, C, H, W), labels (N,)."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def contents_of(
    name: str, *, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST, seed: int = 0
) -> Contents:
    """Random images of the data set's shape, enough of each class; labels go round the classes."""
    data_set = DATA_SETS[name]
    rng = np.random.default_rng(seed)
    num_classes = len(data_set.class_names)
    num_train = max(num_train, 4 * num_classes // 3)
    images = rng.integers(0, 256, (num_train + num_test, *data_set.shape), dtype=np.uint8)
    labels = np.arange(num_train + num_test, dtype=np.int64) % num_classes
    return Contents(images[:num_train], labels[:num_train], images[num_train:], labels[num_train:])


def idx_bytes(array: npt.NDArray[Any]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def fashion_files(contents: Contents) -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte": idx_bytes(contents.train_images[:, 0]),
        "train-labels-idx1-ubyte": idx_bytes(contents.train_labels),
        "t10k-images-idx3-ubyte": idx_bytes(contents.test_images[:, 0]),
        "t10k-labels-idx1-ubyte": idx_bytes(contents.test_labels),
    }


def cifar_records(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], *, coarse: bool
) -> bytes:
    columns = [labels[:, None].astype(np.uint8), images.reshape(len(images), -1)]
    if coarse:
        columns.insert(0, (labels[:, None] % 20).astype(np.uint8))
    return np.hstack(columns).tobytes()


def cifar10_files(contents: Contents) -> dict[str, bytes]:
    images, labels = np.split(contents.train_images, 5), np.split(contents.train_labels, 5)
    files = {
        f"data_batch_{i + 1}.bin": cifar_records(images[i], labels[i], coarse=False)
        for i in range(5)
    }
    test = cifar_records(contents.test_images, contents.test_labels, coarse=False)
    return files | {"test_batch.bin": test}


def cifar100_files(contents: Contents) -> dict[str, bytes]:
    return {
        "train.bin": cifar_records(contents.train_images, contents.train_labels, coarse=True),
        "test.bin": cifar_records(contents.test_images, contents.test_labels, coarse=True),
    }


def archive(files: Mapping[str, bytes], folder: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in {**files, "readme.html": b"<p>about</p>"}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def svhn_files(contents: Contents, *, compressed: bool = True) -> dict[str, bytes]:
    def mat(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> bytes:
        target = io.BytesIO()
        shown = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        variables = {"X": images.transpose(2, 3, 1, 0), "y": shown}
        scipy.io.savemat(target, variables, do_compression=compressed)  # type: ignore[arg-type]
        return target.getvalue()

    return {
        "train_32x32.mat": mat(contents.train_images, contents.train_labels),
        "test_32x32.mat": mat(contents.test_images, contents.test_labels),
    }


def _gzipped(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


FORMS: Mapping[str, tuple[str, Callable[[Contents], dict[str, bytes]]]] = {
    "fashion_mnist gz": ("fashion_mnist", lambda c: _gzipped(fashion_files(c))),
    "fashion_mnist plain": ("fashion_mnist", fashion_files),
    "cifar10 archive": (
        "cifar10",
        lambda c: {"cifar-10-binary.tar.gz": archive(cifar10_files(c), "cifar-10-batches-bin")},
    ),
    "cifar10 plain": ("cifar10", cifar10_files),
    "cifar100 archive": (
        "cifar100",
        lambda c: {"cifar-100-binary.tar.gz": archive(cifar100_files(c), "cifar-100-binary")},
    ),
    "cifar100 plain": ("cifar100", cifar100_files),
    "svhn compressed": ("svhn", svhn_files),
    "svhn plain": ("svhn", lambda c: svhn_files(c, compressed=False)),
}
"""Every form in which a data set is found: its name, and contents to files."""

CHECKSUMMED_FORMS = ("fashion_mnist gz", "cifar10 archive", "cifar100 archive", "svhn compressed")
"""Forms whose every data byte is covered by a checksum in the file itself."""


def write_form(form: str, folder: Path, **options: int) -> Contents:
    """Write a small source of this form into `folder`."""
    name, files_of = FORMS[form]
    contents = contents_of(name, **options)
    write_files(folder, files_of(contents))
    return contents


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, content in files.items():
        (folder / file_name).write_bytes(content)
