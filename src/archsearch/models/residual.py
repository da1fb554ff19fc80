"""How ResNet, Wide ResNet and ResNeXt lay out stages and blocks: pure functions to plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from archsearch.models.plan import Activation, BlockPlan, ConvPlan, Shortcut

BlockKind = Literal["basic", "bottleneck"]
ShortcutOption = Literal["A", "B", "C"]
Stages = tuple[tuple[BlockPlan, ...], ...]

EXPANSION: dict[BlockKind, int] = {"basic": 1, "bottleneck": 4}
CONVS_PER_BLOCK: dict[BlockKind, int] = {"basic": 2, "bottleneck": 3}
IMAGENET_BLOCKS: dict[int, tuple[BlockKind, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}
"""Depth → block, blocks per stage: arXiv:1512.03385 table 1; 200: arXiv:1603.05027 section 4."""
BOTTLENECK_DEPTHS = frozenset(
    depth for depth, (block, _) in IMAGENET_BLOCKS.items() if block == "bottleneck"
)
IMAGENET_WIDTHS = (64, 128, 256, 512)
"""Channels of a stage's blocks on ImageNet, before the bottleneck's expansion."""


@dataclass(frozen=True, slots=True)
class StageShape:
    """How many blocks a stage has and how many channels each of them puts out."""

    num_blocks: int
    out_channels: int


def plan_stages(
    stem_channels: int,
    shapes: Sequence[StageShape],
    plan_block: Callable[[int, int, int], BlockPlan],
) -> tuple[tuple[BlockPlan, ...], ...]:
    """The blocks of every stage; only a stage's first block widens, and strides after stage one.

    Args:
        stem_channels: Channels that the first stage receives.
        shapes: One entry a stage.
        plan_block: Makes a block of (stage index, in_channels, stride).
    """
    stages = []
    in_channels = stem_channels
    for index, shape in enumerate(shapes):
        first = plan_block(index, in_channels, 1 if index == 0 else 2)
        rest = plan_block(index, shape.out_channels, 1)
        stages.append((first, *[rest] * (shape.num_blocks - 1)))
        in_channels = shape.out_channels
    return tuple(stages)


def choose_shortcut(
    option: ShortcutOption, in_channels: int, out_channels: int, stride: int
) -> Shortcut:
    """The shortcut under options A, B or C of arXiv:1512.03385, section 4.1.

    A pads with zeros where the shape changes, B projects there, C projects everywhere.
    """
    if option == "C":
        return Shortcut.PROJECTION
    if in_channels == out_channels and stride == 1:
        return Shortcut.IDENTITY
    return Shortcut.ZERO_PAD if option == "A" else Shortcut.PROJECTION


def residual_convs(
    block: BlockKind, channels: int, stride: int, inner: int | None = None, groups: int = 1
) -> tuple[ConvPlan, ...]:
    """The branch of a basic (3×3, 3×3) or bottleneck (1×1, 3×3, 1×1) block.

    The first 3×3 strides, in both. (arXiv:1512.03385 strides at a bottleneck's first 1×1;
    torchvision, arXiv:1611.05431 and later work at its 3×3, with the same parameters.)

    Args:
        block: Which of the two.
        channels: Output channels before the expansion (a bottleneck puts out four times these).
        stride: Of the block.
        inner: Channels between the convolutions, `channels` unless given.
        groups: Of a bottleneck's 3×3 convolution.
    """
    inner = channels if inner is None else inner
    if block == "basic":
        return (ConvPlan(3, inner, stride), ConvPlan(3, channels))
    return (
        ConvPlan(1, inner),
        ConvPlan(3, inner, stride, groups),
        ConvPlan(1, channels * EXPANSION[block]),
    )


def preactivate(stages: Stages, *, stem_activated: bool) -> Stages:
    """The same stages with BatchNorm and ReLU before each convolution (arXiv:1603.05027).

    A stage's first block activates before it splits, so that a projection sees the activated
    input; all others keep the shortcut clean. After an activated stem the very first needs none.
    """

    def of(stage: int, block: int) -> Activation:
        if block > 0:
            return Activation.IN_BRANCH
        return Activation.IN_STEM if stage == 0 and stem_activated else Activation.BEFORE_SPLIT

    return tuple(
        tuple(dataclasses.replace(block, activation=of(s, b)) for b, block in enumerate(stage))
        for s, stage in enumerate(stages)
    )
