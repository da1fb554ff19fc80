"""What validation measures after every epoch: the door for another metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch

from archsearch.training.objective import is_right, loss_of


class Metric(Protocol):
    """One number about a network's answers on a split, from sums over its images.

    Every process of a trial answers its part of the split. `sums` makes of a part what can be
    added up, `value` makes the number of what was added up. So every image counts once, and
    several processes come to what one would.

    Call order:
        `sums`, once an epoch in each process that has images of the split; then `value`, in each
        process, with the sums of all of them.

    Obligations:
        - `sums` of a split is the sum of the `sums` of its parts, however it is cut, and always
          as long as `length` says.
        - Neither changes its arguments or draws random numbers.
        - Both kinds of labels are taken: (N,) of classes, and (N, num_classes) of 0 or 1.
        - `value` is not finite only where an answer is not.
    """

    length: int
    """How many sums there are."""

    def sums(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What is added up, (length,) of float64.

        Args:
            logits: (N, num_classes) of float32, N >= 1.
            labels: (N,) of int64, or (N, num_classes) of uint8.
        """
        ...

    def value(self, sums: torch.Tensor) -> float:
        """The metric of the images that were added up.

        Args:
            sums: (length,) of float64.
        """
        ...


class _Mean:
    """A mean over images: the sum of their values, and their number."""

    length = 2

    def value(self, sums: torch.Tensor) -> float:
        """See `Metric.value`."""
        return float(sums[0] / sums[1])


class Loss(_Mean):
    """The mean loss of an image in nats, without label smoothing."""

    def sums(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Metric.sums`."""
        mean = loss_of(logits, labels).double()
        return torch.stack([mean * len(labels), torch.full_like(mean, len(labels))])


class Accuracy(_Mean):
    """The share of images that are answered right; see `is_right`."""

    def sums(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Metric.sums`."""
        right = is_right(logits, labels).double().sum()
        return torch.stack([right, torch.full_like(right, len(labels))])


VALIDATION_METRICS: Mapping[str, Metric] = {"val_loss": Loss(), "val_accuracy": Accuracy()}
"""What is measured after every epoch, by the field of `EpochResult` that keeps it."""
