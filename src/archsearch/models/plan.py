"""What a network consists of, as data: stem, stages of blocks, head. No torch in here.

A spec turns into a plan by a pure function, and `archsearch.models.network` builds it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Literal

StemKind = Literal["cifar", "imagenet"]


class Shortcut(enum.Enum):
    """How a block's input reaches its sum (He et al. 2015, arXiv:1512.03385, section 3.3)."""

    IDENTITY = "identity"
    ZERO_PAD = "zero_pad"  # option A: every stride-th pixel, new channels are zero
    PROJECTION = "projection"  # options B and C: 1×1 convolution


class Activation(enum.Enum):
    """Where BatchNorm and ReLU stand in a residual block (He et al. 2016, arXiv:1603.05027)."""

    AFTER_SUM = "after_sum"  # the original block: conv-BN-ReLU, the last ReLU after the sum
    IN_BRANCH = "in_branch"  # pre-activation, the shortcut carries the raw input
    BEFORE_SPLIT = "before_split"  # pre-activation that branch and shortcut share
    IN_STEM = "in_stem"  # pre-activation whose first BN-ReLU the stem has already done


@dataclass(frozen=True, slots=True)
class ConvPlan:
    """One convolution of a branch; padding keeps the image size at stride 1, never a bias."""

    kernel: int
    out_channels: int
    stride: int = 1
    groups: int = 1


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """A residual block: x + branch(x) for a chain of convolutions.

    Attributes:
        in_channels: Channels of the block's input.
        convs: The branch, in order.
        shortcut: How the input reaches the sum.
        activation: Where BatchNorm and ReLU stand.
        dropout: Drop probability before every convolution but the first.
    """

    in_channels: int
    convs: tuple[ConvPlan, ...]
    shortcut: Shortcut
    activation: Activation
    dropout: float = 0.0

    @property
    def out_channels(self) -> int:
        """Channels of the block's output."""
        return self.convs[-1].out_channels

    @property
    def stride(self) -> int:
        """By how much the block shrinks the image."""
        return math.prod(conv.stride for conv in self.convs)


@dataclass(frozen=True, slots=True)
class StemPlan:
    """The first layers.

    Attributes:
        kind: `cifar` is a 3×3 convolution; `imagenet` a 7×7 convolution of stride 2 and a 3×3
            max-pool of stride 2.
        channels: Channels of the convolution.
        activated: Whether BatchNorm and ReLU follow the convolution.
    """

    kind: StemKind
    channels: int
    activated: bool

    @property
    def stride(self) -> int:
        """By how much the stem shrinks the image."""
        return 4 if self.kind == "imagenet" else 1


@dataclass(frozen=True, slots=True)
class ResidualPlan:
    """A ResNet, Wide ResNet or ResNeXt.

    Attributes:
        stem: The first layers.
        stages: The blocks of each stage; only a stage's first block strides.
        final_activation: Whether BatchNorm and ReLU stand before the pooling (pre-activation).
    """

    stem: StemPlan
    stages: tuple[tuple[BlockPlan, ...], ...]
    final_activation: bool

    @property
    def out_channels(self) -> int:
        """Channels that the head receives."""
        return self.stages[-1][-1].out_channels

    @property
    def total_stride(self) -> int:
        """By how much stem and stages shrink the image."""
        return self.stem.stride * math.prod(
            block.stride for stage in self.stages for block in stage
        )


@dataclass(frozen=True, slots=True)
class DenseBlockPlan:
    """A dense block and the transition after it.

    Attributes:
        in_channels: Channels of the block's input.
        num_layers: Layers, each of which adds `growth_rate` channels.
        transition: Channels after the transition, None for the last block.
    """

    in_channels: int
    num_layers: int
    transition: int | None


@dataclass(frozen=True, slots=True)
class DensePlan:
    """A DenseNet; the fields mean what those of `DenseNetSpec` mean."""

    stem: StemPlan
    blocks: tuple[DenseBlockPlan, ...]
    growth_rate: int
    bottleneck: bool
    dropout: float
    memory_efficient: bool

    @property
    def out_channels(self) -> int:
        """Channels that the head receives."""
        last = self.blocks[-1]
        return last.in_channels + last.num_layers * self.growth_rate

    @property
    def total_stride(self) -> int:
        """By how much stem and transitions shrink the image."""
        return int(self.stem.stride * 2 ** (len(self.blocks) - 1))
