"""A prepared data set as tensors: views on the mapped Arrow file, nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from archsearch.data.arrow_file import ArrowFile, DamagedFileError, SplitName
from archsearch.errors import UnfitError
from archsearch.schema import PreparedData


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) of uint8 and labels, row by row in stratified order.

    Labels are classes, (N,) of int64; or, where an image may have several, (N, num_classes) of
    uint8: 1 for each class that it has, 0 for the others.

    The tensors are views on a private, copy-on-write mapping of the file: processes of one machine
    share its pages, and nothing that is written into a tensor reaches the file.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ResidentData:
    """What training may see."""

    train: Split
    val: Split


def load_resident(prepared: PreparedData) -> ResidentData:
    """Map the training and the validation split; the test split's bytes are not read.

    `train` is the first `num_train` images of the stored order: a stratified subset that every
    larger `train_size` contains.

    Args:
        prepared: What `prepare` returned, on this machine or on one that shares its folder.

    Raises:
        UnfitError: If the file is missing, damaged, or holds other data than was prepared.
    """
    arrow_file = _open(prepared)
    train, val = (_split(arrow_file, name) for name in ("train", "val"))
    kept = Split(train.images[: prepared.num_train], train.labels[: prepared.num_train])
    return ResidentData(train=kept, val=val)


def load_test(prepared: PreparedData) -> Split:
    """Map the test split, which nothing in a search may read.

    Raises:
        UnfitError: As `load_resident`.
    """
    return _split(_open(prepared), "test")


def _split(arrow_file: ArrowFile, name: SplitName) -> Split:
    arrays = arrow_file.read(name)
    labels = torch.from_numpy(arrays.labels)
    if arrow_file.header.multi_label:
        bits = torch.arange(len(arrow_file.header.class_names))
        labels = ((labels[:, None] >> bits) & 1).to(torch.uint8)
    return Split(torch.from_numpy(arrays.images), labels)


def _open(prepared: PreparedData) -> ArrowFile:
    path = Path(prepared.path)
    try:
        arrow_file = ArrowFile(path)
    except DamagedFileError as error:
        raise UnfitError(f"{error}; start again, which makes it again") from error
    except OSError as error:
        raise UnfitError(
            f"{path}: cannot be read ({error.strerror or error}); the data of `{prepared.name}` "
            "must be prepared on this machine, or in a folder that it shares"
        ) from error
    if arrow_file.header.digest != prepared.digest:
        raise UnfitError(
            f"{path}: holds other data than was prepared: its digest is "
            f"{arrow_file.header.digest[:12]}, not {prepared.digest[:12]}; start again"
        )
    return arrow_file
