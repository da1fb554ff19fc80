"""The modules of residual networks, each built from its plan. Tensors are (N, C, H, W)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from archsearch.models.plan import Activation, BlockPlan, ConvPlan, Shortcut, StemPlan


def convolution(in_channels: int, plan: ConvPlan) -> nn.Conv2d:
    """A convolution that keeps the image size at stride 1, without a bias: BatchNorm has one."""
    return nn.Conv2d(
        in_channels,
        plan.out_channels,
        plan.kernel,
        plan.stride,
        padding=plan.kernel // 2,
        groups=plan.groups,
        bias=False,
    )


class Stem(nn.Sequential):
    """Image to the first stage's input; see `StemPlan`."""

    def __init__(self, in_channels: int, plan: StemPlan) -> None:
        kernel, stride = (7, 2) if plan.kind == "imagenet" else (3, 1)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=convolution(in_channels, ConvPlan(kernel, plan.channels, stride))
        )
        if plan.activated:
            layers["norm"] = nn.BatchNorm2d(plan.channels)
            layers["relu"] = nn.ReLU(inplace=True)
        if plan.kind == "imagenet":
            layers["pool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        super().__init__(layers)


class Head(nn.Sequential):
    """Last feature maps to logits (N, num_classes): [BN-ReLU,] global average, linear layer."""

    def __init__(self, in_channels: int, num_classes: int, *, activated: bool) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if activated:
            layers["norm"] = nn.BatchNorm2d(in_channels)
            layers["relu"] = nn.ReLU(inplace=True)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["classifier"] = nn.Linear(in_channels, num_classes)
        super().__init__(layers)


class ZeroPad(nn.Module):
    """Option A shortcut: every stride-th pixel, zeros for the new channels; no parameters."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C + new_channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class ResidualBlock(nn.Module):
    """x + branch(x), activated where `plan.activation` says."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        after_sum = plan.activation is Activation.AFTER_SUM
        self.preactivation = (
            _norm_relu(plan.in_channels)
            if plan.activation is Activation.BEFORE_SPLIT
            else nn.Identity()
        )
        # The order branch, shortcut is torchvision's, so weights can be copied one by one.
        self.branch = _post_branch(plan) if after_sum else _pre_branch(plan)
        self.shortcut = _shortcut(plan, normalised=after_sum)
        self.activation = nn.ReLU(inplace=True) if after_sum else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = self.preactivation(x)
        out: Tensor = self.activation(self.branch(x) + self.shortcut(x))
        return out


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True)))


def _post_branch(plan: BlockPlan) -> nn.Sequential:
    """conv-BN-ReLU-…-conv-BN (arXiv:1512.03385, figures 2 and 5)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = plan.in_channels
    for i, conv in enumerate(plan.convs, start=1):
        if i > 1:
            layers[f"relu{i - 1}"] = nn.ReLU(inplace=True)
            if plan.dropout:
                layers[f"dropout{i - 1}"] = nn.Dropout(plan.dropout)
        layers[f"conv{i}"] = convolution(channels, conv)
        layers[f"norm{i}"] = nn.BatchNorm2d(conv.out_channels)
        channels = conv.out_channels
    return nn.Sequential(layers)


def _pre_branch(plan: BlockPlan) -> nn.Sequential:
    """BN-ReLU-conv-…-BN-ReLU-[dropout-]conv (arXiv:1603.05027, figure 4e; arXiv:1605.07146)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = plan.in_channels
    for i, conv in enumerate(plan.convs, start=1):
        if i > 1 or plan.activation is Activation.IN_BRANCH:
            layers[f"norm{i}"] = nn.BatchNorm2d(channels)
            layers[f"relu{i}"] = nn.ReLU(inplace=True)
        if i > 1 and plan.dropout:
            layers[f"dropout{i}"] = nn.Dropout(plan.dropout)
        layers[f"conv{i}"] = convolution(channels, conv)
        channels = conv.out_channels
    return nn.Sequential(layers)


def _shortcut(plan: BlockPlan, *, normalised: bool) -> nn.Module:
    match plan.shortcut:
        case Shortcut.IDENTITY:
            return nn.Identity()
        case Shortcut.ZERO_PAD:
            return ZeroPad(plan.stride, plan.out_channels - plan.in_channels)
        case Shortcut.PROJECTION:
            layers: OrderedDict[str, nn.Module] = OrderedDict(
                conv=convolution(plan.in_channels, ConvPlan(1, plan.out_channels, plan.stride))
            )
            if normalised:
                layers["norm"] = nn.BatchNorm2d(plan.out_channels)
            return nn.Sequential(layers)
