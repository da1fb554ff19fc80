"""Street View House Numbers, cropped digits: two MATLAB 5 files read by SciPy.

`X` is uint8 of shape (32, 32, 3, N), `y` holds labels 1..10, where 10 means the digit 0
(Netzer et al., 2011). The additional 531,131 easy images ("extra") are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from archsearch.data.mat_file import check_mat
from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.reading import read_whole, refusing_damage
from archsearch.errors import UnfitError


def read_svhn(paths: Sequence[Path]) -> RawData:
    """Read `train_32x32.mat` and `test_32x32.mat`, in this order."""
    train, test = paths
    return RawData(train=_read_mat(train), test=_read_mat(test))


def _read_mat(path: Path) -> LabelledImages:
    from scipy.io import loadmat  # slow to import, and only the import of this data needs it

    with refusing_damage(path, "a MATLAB 5 file with X (32, 32, 3, N) and y (N, 1)"):
        check_mat(read_whole(path))
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = np.asarray(content["X"]), np.asarray(content["y"])
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
            raise UnfitError(
                f"{path}: X must be uint8 of shape (32, 32, 3, N), "
                f"but is {images.dtype} of shape {images.shape}"
            )
        if labels.size != images.shape[3] or labels.dtype.kind not in "uif":
            raise UnfitError(
                f"{path}: y must hold one label for each of the {images.shape[3]} images, "
                f"but is {labels.dtype} of shape {labels.shape}"
            )
        if not np.isin(labels, range(1, 11)).all():
            raise UnfitError(f"{path}: labels must be whole numbers in 1..10, but some are not")
        numbers = labels.reshape(-1).astype(np.int64)
        # (H, W, C, N) -> (N, C, H, W)
        return LabelledImages(
            np.ascontiguousarray(images.transpose(3, 2, 0, 1)), np.where(numbers == 10, 0, numbers)
        )
