"""The split: a pure function of the labels in their source's order, the same on every machine.

No seed of a search, no subset size and no image size enters it, so no model is ever trained on
another search's test images. Keys come from the raw stream of PCG64, which NumPy promises never
to change (NEP 19), unlike the shuffles built on top of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsearch.data.raw import RawData
from archsearch.errors import UnfitError

SPLIT_SEED = 20_161_105
VAL_SHARE = 0.1
"""Of an official training set."""
OWN_TEST_SHARE = 0.2
"""Of a source without an official test set; validation then takes the same share of the rest."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitIndices:
    """Positions in the source; `test` counts in the official test set where there is one.

    `train` and `val` are in stratified order: a prefix holds each class in proportion, to about
    one image. So the first `train_size` training images are a stratified subset, and a larger
    subset contains every smaller one. An official test set keeps its own order.
    """

    train: Indices
    val: Indices
    test: Indices


def split_of(raw: RawData, *, name: str) -> SplitIndices:
    """Split a data set into train, validation and test.

    Args:
        raw: The checked source.
        name: The data set's name, for the message.

    Raises:
        UnfitError: If there are too few images for a split.
    """
    labels = raw.train.labels
    everything = np.arange(len(labels), dtype=np.int64)
    if raw.test is None:
        test, rest = _take(everything, labels, OWN_TEST_SHARE)
        val, train = _take(rest, labels, OWN_TEST_SHARE)
    else:
        test = np.arange(len(raw.test.labels), dtype=np.int64)
        val, train = _take(everything, labels, VAL_SHARE)
    if min(len(train), len(val), len(test)) == 0:
        raise UnfitError(
            f"the data of `{name}` is too small to be split: {len(labels)} images leave "
            f"{len(train)} to train, {len(val)} to validate and {len(test)} to test"
        )
    return SplitIndices(train=train, val=val, test=test)


def stratified_order(positions: Indices, labels: npt.NDArray[np.int64]) -> Indices:
    """Put `positions` in an order whose every prefix is stratified.

    The r-th image of a class with n images stands at (r + 1/2) / n; within a class, and between
    classes at equal places, constant pseudo-random keys decide.

    Args:
        positions: Where the images are in the source.
        labels: The labels of the whole source.
    """
    keys = np.random.PCG64(SPLIT_SEED).random_raw(len(labels))[positions]
    own = labels[positions]
    place = np.empty(len(positions), dtype=np.float64)
    for label in np.unique(own):
        members = np.flatnonzero(own == label)
        ranks = np.empty(len(members), dtype=np.int64)
        ranks[np.argsort(keys[members], kind="stable")] = np.arange(len(members))
        place[members] = (ranks + 0.5) / len(members)
    return positions[np.lexsort((keys, place))]


def _take(
    positions: Indices, labels: npt.NDArray[np.int64], share: float
) -> tuple[Indices, Indices]:
    """The stratified `share` of the positions, and the rest; both in stratified order."""
    order = stratified_order(positions, labels)
    count = max(1, round(share * len(order)))
    return order[:count], stratified_order(np.sort(order[count:]), labels)
