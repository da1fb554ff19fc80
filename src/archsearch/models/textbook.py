"""The parametrisations of *Dive into Deep Learning*, sections 8.6 and 8.7, and its like.

The same networks and blocks under the arguments that teaching code uses. Where it differs from the
papers, the papers decide: convolutions before BatchNorm have no bias, projections are followed by
BatchNorm, weights start as `archsearch.models.network.initialise` says, and a shortcut has the
stride of its branch.
"""

from __future__ import annotations

from torch import nn

from archsearch.models.blocks import ResidualBlock
from archsearch.models.dense_blocks import DenseStage, Transition
from archsearch.models.densenet import DenseNetSpec
from archsearch.models.finetune import TorchvisionSpec
from archsearch.models.plan import (
    Activation,
    BlockPlan,
    ConvPlan,
    DenseBlockPlan,
    DensePlan,
    Shortcut,
    StemPlan,
)
from archsearch.models.residual import residual_convs
from archsearch.models.resnet import ResNetSpec, ResNetStages
from archsearch.models.resnext import ResNeXtSpec, split_groups


def resnet(arch: ResNetStages = ((2, 64), (2, 128), (2, 256), (2, 512))) -> ResNetSpec:
    """`ResNet(arch)`: (residuals, channels) of each stage, 7×7 stem; the default is ResNet-18."""
    return ResNetSpec.from_stages(arch)


def resnext(arch: ResNetStages, groups: int, bot_mul: float) -> ResNeXtSpec:
    """`ResNet(arch)` of `ResNeXtBlock(num_channels, groups, bot_mul)`; groups of that width.

    Raises:
        ValueError: `groups` does not divide the inner channels of a stage.
    """
    return ResNeXtSpec.from_stages(arch, group_width=groups, bottleneck_ratio=bot_mul)


def densenet(
    num_channels: int = 64, growth_rate: int = 32, arch: tuple[int, ...] = (4, 4, 4, 4)
) -> DenseNetSpec:
    """`DenseNet(num_channels, growth_rate, arch)`: 3×3 layers, halving transitions, 7×7 stem."""
    return DenseNetSpec.from_layers(
        arch, growth_rate, bottleneck=False, compression=0.5, stem_channels=num_channels
    )


def get_model(dropout: float = 0.5) -> TorchvisionSpec:
    """`get_model(out_dim, dropout)`: a pretrained ResNeXt-101 with a new head for several labels.

    The head is Linear(2048, 4096), ReLU, Dropout, Linear(4096, out_dim). Its Sigmoid is part of
    the loss here, which is exact where a sigmoid rounds to 0 or 1. `pretrained=True` meant the
    older of torchvision's weights.
    """
    return TorchvisionSpec(
        network="resnext101_32x8d", weights="IMAGENET1K_V1", head="mlp", dropout=dropout
    )


def residual_block(
    in_channels: int, num_channels: int, use_1x1conv: bool = False, strides: int = 1
) -> nn.Module:
    """`Residual(num_channels, use_1x1conv, strides)`: 3×3, 3×3 and a shortcut.

    Copies without the branch that sets the projection to None fail on every other block.

    Raises:
        ValueError: the shape changes without `use_1x1conv`.
    """
    convs = residual_convs("basic", num_channels, strides)
    return _block(in_channels, convs, use_1x1conv)


def resnext_block(
    in_channels: int,
    num_channels: int,
    groups: int,
    bot_mul: float,
    use_1x1conv: bool = False,
    strides: int = 1,
) -> nn.Module:
    """`ResNeXtBlock(num_channels, groups, bot_mul)`; `groups` is a group's width.

    Raises:
        ValueError: `groups` does not divide round(num_channels · bot_mul), or the shape changes
            without `use_1x1conv`.
    """
    cardinality, group_width = split_groups(num_channels, groups, bot_mul)
    convs = _bottleneck(cardinality * group_width, num_channels, strides, cardinality)
    return _block(in_channels, convs, use_1x1conv)


def aggregated_block(
    in_f: int, f_1: int, out_f: int, stride: int = 1, cardinality: int = 32
) -> nn.Module:
    """`ResNeXtBlock(in_f, f_1, out_f, stride, cardinality)`: 1×1 to `f_1`, grouped 3×3, 1×1.

    Copies stride at the first 1×1, activate before the sum too, and max-pool a shortcut that they
    project at full size; the paper (arXiv:1611.05431, figure 3c) strides at the 3×3, activates
    after the sum, and projects with the stride.

    Raises:
        ValueError: `cardinality` does not divide `f_1`.
    """
    if cardinality < 1 or f_1 % cardinality:
        raise ValueError(
            f"`cardinality` must divide `f_1`, but got cardinality={cardinality}, f_1={f_1}"
        )
    projects = in_f != out_f or stride != 1
    return _block(in_f, _bottleneck(f_1, out_f, stride, cardinality), projects)


def dense_block(in_channels: int, num_convs: int, num_channels: int) -> nn.Module:
    """`DenseBlock(num_convs, num_channels)`: puts out in_channels + num_convs · num_channels."""
    stem = StemPlan("cifar", in_channels, activated=False)
    block = DenseBlockPlan(in_channels, num_convs, transition=None)
    plan = DensePlan(
        stem, (block,), num_channels, bottleneck=False, dropout=0.0, memory_efficient=False
    )
    return DenseStage(plan, block)


def transition_block(in_channels: int, num_channels: int) -> nn.Module:
    """`transition_block(num_channels)`: 1×1 convolution and average pooling of stride 2."""
    return Transition(in_channels, num_channels, dropout=0.0)


def _bottleneck(
    inner: int, out_channels: int, stride: int, cardinality: int
) -> tuple[ConvPlan, ...]:
    return (
        ConvPlan(1, inner),
        ConvPlan(3, inner, stride, cardinality),
        ConvPlan(1, out_channels),
    )


def _block(in_channels: int, convs: tuple[ConvPlan, ...], projects: bool) -> nn.Module:
    plan = BlockPlan(
        in_channels,
        convs,
        Shortcut.PROJECTION if projects else Shortcut.IDENTITY,
        Activation.AFTER_SUM,
    )
    if not projects and (plan.stride != 1 or plan.out_channels != in_channels):
        raise ValueError(
            "`use_1x1conv=True` must hold where strides or channels change, but got "
            f"in_channels={in_channels}, num_channels={plan.out_channels}, strides={plan.stride}"
        )
    return ResidualBlock(plan)
