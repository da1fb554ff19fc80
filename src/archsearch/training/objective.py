"""What a network's logits are asked: which class an image shows, or for each class whether.

Labels tell which: (N,) of int64 are classes, (N, num_classes) of uint8 are 0 or 1 for each.
Neither kind has a softmax or sigmoid in the network: the loss takes logits.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def loss_of(
    logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Mean loss of a batch, in nats.

    Cross-entropy where an image has one class. Where it may have several, binary cross-entropy,
    the mean over images and classes; smoothing then takes a label of 1 to 1 - s/2 and one of 0 to
    s/2, which is the same rule with two classes a question (Szegedy et al. 2016, section 7).

    Args:
        logits: (N, num_classes) of float32.
        labels: (N,) of int64, or (N, num_classes) of uint8.
        label_smoothing: s, in [0, 1).
    """
    if labels.ndim == 1:
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    targets = labels.to(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, targets)


def is_right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images a network answers right, (N,) of bool; accuracy is their share.

    The highest logit must be the image's class. Where an image may have several, every one of
    its answers must be right (a positive logit for each class that it has and no other): exact
    match, which is stricter than the share of right answers, and counts images as the other does.

    Args:
        logits: (N, num_classes).
        labels: (N,) of int64, or (N, num_classes) of uint8.
    """
    if labels.ndim == 1:
        return logits.argmax(1) == labels
    return ((logits > 0) == labels.bool()).all(1)


def answers_of(logits: torch.Tensor, *, multi_label: bool) -> torch.Tensor:
    """One number an image, (N,) of int64: its class, or a mask with a bit for each class."""
    if not multi_label:
        return logits.argmax(1)
    bits = 1 << torch.arange(logits.shape[1], device=logits.device)
    return ((logits > 0) * bits).sum(1)
