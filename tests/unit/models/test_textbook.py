"""The book's parametrisations: shapes that it prints, and the papers' corrections."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import nn

from archsearch.models import ResNeXtSpec, build_model
from archsearch.models.complexity import complexity, layer_table, stage_totals
from archsearch.models.textbook import (
    aggregated_block,
    dense_block,
    densenet,
    get_model,
    residual_block,
    resnet,
    resnext,
    resnext_block,
    transition_block,
)
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name

BOOK_INPUT = InputSpec(in_channels=1, image_size=96, num_classes=10)


def test_the_default_stack_is_resnet_18_with_the_shapes_that_the_book_prints() -> None:
    spec = resnet()
    assert spec == parse_name("ResNet-18")
    totals = stage_totals(layer_table(spec, BOOK_INPUT))
    assert [shape for shape, _, _ in totals.values()] == [
        *((64, 24, 24), (64, 24, 24), (128, 12, 12), (256, 6, 6), (512, 3, 3), (10,)),
    ]


def test_other_stacks_are_networks_of_their_own() -> None:
    spec = resnet(((1, 8), (2, 16)))
    assert (spec.name, spec.depth) == ("ResNet-8-(1x8,2x16)", 8)
    assert parse_name(spec.name) == spec
    with torch.no_grad():
        assert build_model(spec, BOOK_INPUT)(torch.randn(2, 1, 96, 96)).shape == (2, 10)


def test_densenet_of_the_book() -> None:
    spec = densenet(64, 32, (4, 4, 4, 4))
    assert spec.name == "DenseNet-C-21-32-(4,4,4,4)"
    assert parse_name(spec.name) == spec
    # (64 + 4·32)/2 = 96, (96 + 128)/2 = 112, (112 + 128)/2 = 120, 120 + 128 = 248.
    assert [b.transition for b in spec.plan().blocks] == [96, 112, 120, None]
    assert spec.plan().out_channels == 248
    with torch.no_grad():
        network = build_model(spec, BOOK_INPUT)
        assert network(torch.randn(1, 1, 96, 96)).shape == (1, 10)
    assert complexity(spec, BOOK_INPUT).params == sum(p.numel() for p in network.parameters())


def test_the_fine_tuned_network_has_the_heads_layers() -> None:
    spec = get_model()
    assert spec.name == "torchvision-resnext101_32x8d-pretrainedV1-mlp-dropout0.5"
    rows = layer_table(spec, InputSpec(in_channels=3, image_size=64, num_classes=28))
    head = [(row.kind, row.output_shape) for row in rows if row.path.startswith("head.class")]
    assert head == [
        *(("Linear", (4096,)), ("ReLU", (4096,)), ("Dropout", (4096,)), ("Linear", (28,))),
    ]


def test_residual_block_shapes_of_the_book() -> None:
    assert residual_block(3, 3)(torch.randn(4, 3, 6, 6)).shape == (4, 3, 6, 6)
    strided = residual_block(3, 6, use_1x1conv=True, strides=2)
    assert strided(torch.randn(4, 3, 6, 6)).shape == (4, 6, 3, 3)


def test_dense_block_and_transition_shapes_of_the_book() -> None:
    y = dense_block(3, 2, 10)(torch.randn(4, 3, 8, 8))
    assert y.shape == (4, 23, 8, 8)
    assert transition_block(23, 10)(y).shape == (4, 10, 4, 4)


@pytest.mark.parametrize("changes", [{"strides": 2}, {"num_channels": 6}])
def test_a_changed_shape_needs_a_projection(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="`use_1x1conv=True` must hold"):
        residual_block(3, **({"num_channels": 3} | changes))  # type: ignore[arg-type]


def test_groups_of_the_book_is_the_width_of_a_group() -> None:
    block = resnext_block(32, 32, 16, 1)
    assert block(torch.randn(4, 32, 96, 96)).shape == (4, 32, 96, 96)
    grouped = [m.groups for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert grouped == [1, 2, 1]
    strided = resnext_block(32, 64, 8, 0.5, use_1x1conv=True, strides=2)
    assert strided(torch.randn(2, 32, 8, 8)).shape == (2, 64, 4, 4)


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must divide .* group_width=5, round\(32 · 1\) = 32"):
        resnext_block(32, 32, 5, 1)
    with pytest.raises(ValueError, match="`group_width` must divide"):
        ResNeXtSpec.from_stages(((1, 30),), group_width=16)
    with pytest.raises(ValueError, match="`cardinality` must divide `f_1`"):
        aggregated_block(64, 100, 256)


def test_resnext_stacks_have_a_constant_group_width() -> None:
    spec = resnext(((1, 64), (2, 128)), groups=16, bot_mul=0.5)
    assert spec.name == "ResNeXt-11-(1x64:2x16d,2x128:4x16d)"
    assert parse_name(spec.name) == spec


def test_aggregated_blocks_stack_to_the_published_resnext_50() -> None:
    widths = ((64, 128, 256), (256, 256, 512), (512, 512, 1024), (1024, 1024, 2048))
    published = cast(Any, build_model(parse_name("ResNeXt-50-32x4d"), BOOK_INPUT))
    for index, (in_f, f_1, out_f) in enumerate(widths):
        block = aggregated_block(in_f, f_1, out_f, stride=1 if index == 0 else 2)
        theirs = published.stages[index][0].state_dict()
        assert {k: v.shape for k, v in block.state_dict().items()} == {
            k: v.shape for k, v in theirs.items()
        }
