"""scikit-learn's handwritten digits: 1,797 grey images of 8 × 8, shipped with the library.

Two data sets: which digit an image shows, and which of five attributes that digit has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from archsearch.data.class_names import DIGITS_ATTRIBUTES
from archsearch.data.raw import LabelledImages, RawData

_DIGITS_WITH = {
    "even": {0, 2, 4, 6, 8},
    "prime": {2, 3, 5, 7},
    "square": {0, 1, 4, 9},
    "above four": {5, 6, 7, 8, 9},
    "has a loop": {0, 6, 8, 9},
}
"""Attribute → digits; a 4 counts as open, as most people write it."""


def read_digits(_paths: Sequence[Path]) -> RawData:
    """Read the digits; their 17 grey levels 0..16 are spread over 0..255.

    The source has no official test set (it is the test part of the UCI set, whose training
    part is not in scikit-learn), so the split makes one.
    """
    from sklearn.datasets import load_digits  # costs a second, and only the import needs it

    bunch = load_digits()
    images = np.floor(bunch.images * (255 / 16) + 0.5).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    return RawData(LabelledImages(images[:, np.newaxis], labels), test=None)


def read_digits_attributes(paths: Sequence[Path]) -> RawData:
    """Read the digits, each labelled with its attributes: bit k is the k-th of them."""
    digits = read_digits(paths).train
    masks = [
        sum(1 << k for k, name in enumerate(DIGITS_ATTRIBUTES) if digit in _DIGITS_WITH[name])
        for digit in range(10)
    ]
    labels = np.array(masks, dtype=np.int64)[digits.labels]
    return RawData(LabelledImages(digits.images, labels), test=None)
