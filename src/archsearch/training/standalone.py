"""A network as a model that stands alone: its normalisation inside, raw images in, logits out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

INPUT = "float32 images (N, C, H, W), pixel values in 0..1; logits (N, classes) come out"
"""What every exported or packaged model takes and gives."""


class StandaloneModel(nn.Module):
    """A network with its normalisation inside.

    Args:
        network: Takes normalised images.
        mean: Per channel, in 0..1, as the network was trained with.
        std: Per channel, as `mean`.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) of float32 in 0..1 to logits (N, num_classes)."""
        logits: torch.Tensor = self.network((images - self.mean) / self.std)
        return logits
