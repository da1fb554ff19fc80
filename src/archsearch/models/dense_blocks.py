"""The modules of DenseNets, each built from its plan. Tensors are (N, C, H, W)."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from archsearch.models.blocks import convolution
from archsearch.models.plan import ConvPlan, DenseBlockPlan, DensePlan

BOTTLENECK_FACTOR = 4
"""A bottleneck's 1×1 convolution puts out 4k channels (arXiv:1608.06993, section 3)."""


class DenseLayer(nn.Module):
    """The k channels that a layer adds: H([x_0, x_1, …]) of arXiv:1608.06993, equation 2.

    BN-ReLU-conv3×3, or with a bottleneck BN-ReLU-conv1×1-BN-ReLU-conv3×3; dropout after each
    convolution.
    """

    def __init__(self, in_channels: int, plan: DensePlan) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        kernels = [1, 3] if plan.bottleneck else [3]
        channels = in_channels
        for i, kernel in enumerate(kernels, start=1):
            out_channels = plan.growth_rate * (BOTTLENECK_FACTOR if kernel == 1 else 1)
            layers[f"norm{i}"] = nn.BatchNorm2d(channels)
            layers[f"relu{i}"] = nn.ReLU(inplace=True)
            layers[f"conv{i}"] = convolution(channels, ConvPlan(kernel, out_channels))
            if plan.dropout:
                layers[f"dropout{i}"] = nn.Dropout(plan.dropout)
            channels = out_channels
        self.layers = nn.Sequential(layers)
        self.memory_efficient = plan.memory_efficient

    def forward(self, features: list[Tensor]) -> Tensor:
        """All earlier feature maps, each (N, ·, H, W) → (N, k, H, W)."""
        if self.memory_efficient and self.training and torch.is_grad_enabled():
            out: Tensor = checkpoint(
                self._new_features,
                *features,
                use_reentrant=False,
                context_fn=lambda: (contextlib.nullcontext(), _frozen_statistics(self)),
            )
            return out
        return self._new_features(*features)

    def _new_features(self, *features: Tensor) -> Tensor:
        out: Tensor = self.layers(torch.cat(features, dim=1))
        return out


@contextlib.contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep BatchNorm's running statistics as they are while a forward pass is repeated.

    Without it the second pass of a checkpoint would count every batch twice.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]  # synchronised ones too
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the statistics must be passed on: the backward pass saves them
        assert norm.num_batches_tracked is not None  # `SyncBatchNorm` wants a counter to be there
        norm.num_batches_tracked = torch.zeros_like(norm.num_batches_tracked)
    try:
        yield
    finally:
        for norm, momentum, num_batches_tracked in kept:
            norm.momentum = momentum
            norm.num_batches_tracked = num_batches_tracked


class Transition(nn.Sequential):
    """BN-ReLU-conv1×1, dropout, 2×2 average pooling between two dense blocks."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            norm=nn.BatchNorm2d(in_channels),
            relu=nn.ReLU(inplace=True),
            conv=convolution(in_channels, ConvPlan(1, out_channels)),
        )
        if dropout:
            layers["dropout"] = nn.Dropout(dropout)
        layers["pool"] = nn.AvgPool2d(kernel_size=2, stride=2)
        super().__init__(layers)


class DenseStage(nn.Module):
    """A dense block and, unless it is the last, its transition."""

    def __init__(self, plan: DensePlan, block: DenseBlockPlan) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DenseLayer(block.in_channels + i * plan.growth_rate, plan)
            for i in range(block.num_layers)
        )
        channels = block.in_channels + block.num_layers * plan.growth_rate
        self.transition = (
            nn.Identity()
            if block.transition is None
            else Transition(channels, block.transition, plan.dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C + layers·k, H, W), or the transition's half-size channels."""
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        out: Tensor = self.transition(torch.cat(features, dim=1))
        return out
