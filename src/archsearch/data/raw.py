"""What a source hands over: decoded images and labels, checked before anything uses them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsearch.errors import UnfitError

MAX_RAW_BYTES = 4 * 2**30
"""No source may decode to more: a few bytes of compressed zeros could fill the memory."""


@dataclass(frozen=True)
class LabelledImages:
    """Images (N, C, H, W) of uint8 and their labels (N,) of int64.

    A label is a class, or where an image may have several classes a mask with one bit a class.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class RawData:
    """A decoded data set in its source's order.

    Attributes:
        train: The official training images, or all images where there is no official test set.
        test: The official test images; None where the source has none.
    """

    train: LabelledImages
    test: LabelledImages | None


def check_raw(raw: RawData, *, name: str, shape: tuple[int, int, int], num_labels: int) -> None:
    """Refuse decoded data that cannot be what its name says.

    Args:
        raw: What the source's reader returned.
        name: The data set's name, for the message.
        shape: (C, H, W) that every image must have.
        num_labels: Labels must lie in 0..num_labels-1.

    Raises:
        UnfitError: With all that is wrong at once.
    """
    problems: list[str] = []
    parts = {"train": raw.train} | ({} if raw.test is None else {"test": raw.test})
    for part, data in parts.items():
        problems += [f"{part}: {problem}" for problem in _problems(data, shape, num_labels)]
    if problems:
        raise UnfitError(f"the data of `{name}` is damaged: {'; '.join(problems)}")


def _problems(data: LabelledImages, shape: tuple[int, int, int], num_labels: int) -> list[str]:
    problems = []
    images, labels = data.images, data.labels
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        problems.append(
            f"images must be uint8 of shape (N, {shape[0]}, {shape[1]}, {shape[2]}), "
            f"but are {images.dtype} of shape {images.shape}"
        )
    if labels.ndim != 1 or len(labels) != len(images):
        problems.append(
            f"there must be one label an image, but there are {len(images)} images and "
            f"labels of shape {labels.shape}"
        )
    elif len(labels) == 0:
        problems.append("there are no images")
    elif labels.min() < 0 or labels.max() >= num_labels:
        problems.append(
            f"labels must lie in 0..{num_labels - 1}, but go from {labels.min()} to {labels.max()}"
        )
    return problems
