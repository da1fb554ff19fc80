"""The layer table and what it adds up to."""

from __future__ import annotations

import torch
from torch import nn

from archsearch.models.complexity import complexity, layer_table, stage_totals, walk_module
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import CIFAR_INPUT, parse_name


def test_rows_come_in_running_order_with_shapes_and_costs() -> None:
    rows = layer_table(parse_name("ResNeXt-29-8x64d"), CIFAR_INPUT)
    stem, grouped = rows[0], rows[6]
    assert (stem.path, stem.stage, stem.kind) == ("stem.conv", "stem", "Conv2d 3×3")
    assert (stem.output_shape, stem.params, stem.macs) == ((64, 32, 32), 1_728, 1_769_472)
    assert (grouped.stage, grouped.kind) == ("stage 1", "Conv2d 3×3 g8")
    assert grouped.macs == 1024 * 512 * 9 * 64
    assert [row.stage for row in rows][-4:] == ["stage 3", "head", "head", "head"]
    assert rows[-1].output_shape == (10,)


def test_stages_add_up_to_the_totals() -> None:
    spec = parse_name("DenseNet-BC-40-12")
    totals = stage_totals(layer_table(spec, CIFAR_INPUT))
    cost = complexity(spec, CIFAR_INPUT)
    assert list(totals) == ["stem", "stage 1", "stage 2", "stage 3", "head"]
    assert sum(params for _, params, _ in totals.values()) == cost.params
    assert sum(macs for _, _, macs in totals.values()) == cost.macs
    assert totals["stage 1"][0][1:] == (16, 16)


def test_strides_show() -> None:
    kinds = {row.kind for row in layer_table(parse_name("ResNet-20-B"), CIFAR_INPUT)}
    assert {"Conv2d 3×3", "Conv2d 3×3 /2", "Conv2d 1×1 /2", "Linear"} <= kinds


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    complexity(parse_name("WRN-10-1"), InputSpec(in_channels=1, image_size=28, num_classes=7))
    assert torch.equal(torch.get_rng_state(), before)


def test_any_module_can_be_walked() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, bias=True), nn.Flatten(), nn.Linear(16, 2))
    walk = walk_module(network, torch.zeros(1, 1, 4, 4))
    assert (walk.complexity.params, walk.complexity.macs) == (74, 4 * 4 * 9 + 32)
    assert walk.complexity.activations == 16 + 2
