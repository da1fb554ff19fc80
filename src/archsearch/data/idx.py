"""Fashion-MNIST's idx files (plain or gzip): big-endian header, then raw bytes.

The format is LeCun's, as his MNIST page describes it: two zero bytes, a type (8: unsigned byte),
the number of dimensions, each dimension as a 32-bit integer, the values.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.reading import read_whole, refusing_damage
from archsearch.errors import UnfitError


def read_fashion_mnist(paths: Sequence[Path]) -> RawData:
    """Read training images, training labels, test images, test labels, in this order."""
    train_images, train_labels, test_images, test_labels = paths
    return RawData(
        train=_read_part(train_images, train_labels), test=_read_part(test_images, test_labels)
    )


def read_idx(path: Path, num_dimensions: int) -> npt.NDArray[np.uint8]:
    """Read one idx file of unsigned bytes.

    Raises:
        UnfitError: If it is not one, has other dimensions, or is shorter or longer than it says.
    """
    with refusing_damage(path, f"an idx file of {num_dimensions} dimensions"):
        content = read_whole(path)
        header_size = 4 + 4 * num_dimensions
        if content[:4] != bytes([0, 0, 8, num_dimensions]):
            raise UnfitError(
                f"{path}: damaged or not an idx file of {num_dimensions} dimensions "
                f"(it starts with {content[:4].hex(' ')})"
            )
        shape = struct.unpack(f">{num_dimensions}I", content[4:header_size])
        if math.prod(shape) != len(content) - header_size:
            raise UnfitError(
                f"{path}: damaged: it says {' × '.join(map(str, shape))} values, "
                f"but holds {len(content) - header_size}"
            )
        return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _read_part(images_path: Path, labels_path: Path) -> LabelledImages:
    images = read_idx(images_path, 3)
    labels = read_idx(labels_path, 1)
    return LabelledImages(images[:, np.newaxis], labels.astype(np.int64))
