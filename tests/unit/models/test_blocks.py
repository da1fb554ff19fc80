"""Residual blocks against the papers' formulas, written out."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from archsearch.models import WideResNetSpec, build_model
from archsearch.models.blocks import ResidualBlock, ZeroPad
from archsearch.models.plan import Activation, BlockPlan, ConvPlan, Shortcut
from archsearch.models.resnext import ResNeXtStage, resnext_block
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name

INPUT = InputSpec(in_channels=3, image_size=8, num_classes=4)


def _randomised(block: ResidualBlock) -> Any:
    """The block with BatchNorm weights that are not 1 and 0, so that they are seen."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return block


def _norm(x: Tensor, norm: nn.BatchNorm2d, channels: slice = slice(None)) -> Tensor:
    """BatchNorm with the batch's statistics."""
    return F.batch_norm(x, None, None, norm.weight[channels], norm.bias[channels], training=True)


def test_zero_pad_subsamples_and_appends_zero_channels() -> None:
    x = torch.randn(2, 3, 5, 5)
    out = ZeroPad(2, 4)(x)
    assert out.shape == (2, 7, 3, 3)
    assert torch.equal(out[:, :3], x[:, :, ::2, ::2])
    assert not out[:, 3:].any()
    assert not list(ZeroPad(2, 4).parameters())


def test_original_block_activates_after_the_sum() -> None:
    convs = (ConvPlan(3, 6, 2), ConvPlan(3, 6))
    block = _randomised(
        ResidualBlock(BlockPlan(4, convs, Shortcut.PROJECTION, Activation.AFTER_SUM))
    )
    x = torch.randn(3, 4, 6, 6)
    branch, shortcut = block.branch, block.shortcut
    hidden = F.relu(_norm(F.conv2d(x, branch.conv1.weight, stride=2, padding=1), branch.norm1))
    residual = _norm(F.conv2d(hidden, branch.conv2.weight, padding=1), branch.norm2)
    identity = _norm(F.conv2d(x, shortcut.conv.weight, stride=2), shortcut.norm)
    torch.testing.assert_close(block(x), F.relu(residual + identity))


@pytest.mark.parametrize("shared", [False, True])
def test_preactivation_block_keeps_the_shortcut_clean_unless_it_is_shared(shared: bool) -> None:
    convs = (ConvPlan(3, 4), ConvPlan(3, 4))
    activation = Activation.BEFORE_SPLIT if shared else Activation.IN_BRANCH
    block = _randomised(ResidualBlock(BlockPlan(4, convs, Shortcut.IDENTITY, activation)))
    x = torch.randn(3, 4, 6, 6)
    first = block.preactivation.norm if shared else block.branch.norm1
    active = F.relu(_norm(x, first))
    hidden = F.conv2d(active, block.branch.conv1.weight, padding=1)
    hidden = F.relu(_norm(hidden, block.branch.norm2))
    residual = F.conv2d(hidden, block.branch.conv2.weight, padding=1)
    torch.testing.assert_close(block(x), residual + (active if shared else x))


def test_wide_blocks_share_the_activation_exactly_where_they_project() -> None:
    # As in the authors' code: with k = 1 the first stage keeps 16 channels and projects nothing.
    for widen_factor, projecting in ((1, [1, 2]), (2, [0, 1, 2])):
        stages = WideResNetSpec(depth=16, widen_factor=widen_factor).plan().stages
        for index, stage in enumerate(stages):
            expected = Activation.BEFORE_SPLIT if index in projecting else Activation.IN_BRANCH
            assert stage[0].activation is expected
            assert stage[1].activation is Activation.IN_BRANCH


def test_stride_stands_where_the_papers_and_torchvision_have_it() -> None:
    def strides(name: str) -> list[int]:
        return [conv.stride for conv in parse_name(name).plan().stages[1][0].convs]  # type: ignore[union-attr]

    assert strides("ResNet-20") == [2, 1]
    assert strides("ResNet-50") == [1, 2, 1]
    assert strides("ResNeXt-29-8x64d") == [1, 2, 1]
    assert strides("WRN-28-10") == [2, 1]
    assert strides("WRN-40-2-B(1,3,1)") == [2, 1, 1]


def test_stems_are_activated_only_before_original_blocks_and_on_imagenet() -> None:
    names = {
        "ResNet-20": (True, False),
        "preact-ResNet-110": (False, True),
        "preact-ResNet-50": (True, True),
        "WRN-28-10": (False, True),
        "ResNeXt-29-8x64d": (True, False),
    }
    for name, (stem, head) in names.items():
        network = cast(Any, build_model(parse_name(name), _fitting(name)))
        assert hasattr(network.stem, "norm") == stem
        assert hasattr(network.head, "norm") == head


def _fitting(name: str) -> InputSpec:
    size = parse_name(name).total_stride * 2
    return InputSpec(in_channels=3, image_size=size, num_classes=4)


def test_dropout_stands_between_the_convolutions_of_every_block() -> None:
    network = build_model(WideResNetSpec(depth=16, widen_factor=1, dropout=0.3), INPUT)
    blocks = [m for m in network.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == 6
    for block in blocks:
        kinds = [type(layer) for layer in cast(Any, block.branch)]
        assert kinds.count(nn.Dropout) == 1
        assert kinds.index(nn.Conv2d) < kinds.index(nn.Dropout)
        assert kinds[-1] is nn.Conv2d
        assert kinds[-2] is nn.Dropout


@pytest.mark.parametrize("stride", [1, 2])
def test_the_three_forms_of_the_resnext_block_are_equal(stride: int) -> None:
    # Figure 3 of arXiv:1611.05431, with the weights of the grouped convolution cut into paths.
    cardinality, width = 4, 3
    plan = resnext_block(8, ResNeXtStage(1, 20, cardinality, width), stride)
    block = _randomised(ResidualBlock(plan))
    branch = block.branch
    x = torch.randn(5, 8, 6, 6)

    def path(i: int) -> Tensor:
        """1×1 to `width` channels and 3×3, each with BatchNorm and ReLU."""
        part = slice(i * width, (i + 1) * width)
        y = F.relu(_norm(F.conv2d(x, branch.conv1.weight[part]), branch.norm1, part))
        y = F.conv2d(y, branch.conv2.weight[part], stride=stride, padding=1)
        return F.relu(_norm(y, branch.norm2, part))

    paths = [path(i) for i in range(cardinality)]
    # (a) split, transform, sum: each path has its own 1×1 back to 20 channels.
    summed = sum(
        F.conv2d(y, branch.conv3.weight[:, i * width : (i + 1) * width])
        for i, y in enumerate(paths)
    )
    # (b) early concatenation: one 1×1 after the paths are joined.
    joined = F.conv2d(torch.cat(paths, dim=1), branch.conv3.weight)
    # (c) grouped convolution: the block itself.
    identity = block.shortcut(x)
    for residual in (cast(Tensor, summed), joined):
        out = F.relu(_norm(residual, branch.norm3) + identity)
        torch.testing.assert_close(block(x), out, rtol=1e-4, atol=1e-5)
