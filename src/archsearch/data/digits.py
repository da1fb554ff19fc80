"""scikit-learn's handwritten digits: 1,797 grey images of 8 × 8, shipped with the library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from archsearch.data.raw import LabelledImages, RawData


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
