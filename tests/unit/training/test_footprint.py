"""Predicted memory is what a real step takes, counted tensor by tensor."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from archsearch.models import FamilySpec, build_model
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import CIFAR_INPUT, parse_name
from archsearch.training.footprint import MIB, LiveBytes, training_memory
from archsearch.training.precision import Precision

INPUT = InputSpec(in_channels=3, image_size=32, num_classes=10)
NAMES = (
    "ResNet-8",
    "ResNet-8-C",
    "preact-ResNet-11",
    "ResNet-10-(1x8,1x8,1x16,1x32)",
    "WRN-10-2",
    "WRN-10-1-B(1,3,1)",
    "WRN-10-1-dropout0.3",
    "ResNeXt-11-4x4d",
    "DenseNet-7-4",
    "DenseNet-BC-16-8",
    "DenseNet-BC-16-8-dropout0.2-efficient",
)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def step_bytes(spec: FamilySpec, batch_size: int, precision: Precision) -> int:
    """Most bytes alive in a real step on the processor, beyond what is there before it."""
    network: nn.Module = build_model(spec, INPUT).train()
    images = torch.rand(batch_size, 3, 32, 32)
    labels = torch.zeros(batch_size, dtype=torch.int64)
    with LiveBytes() as live:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(images)
        functional.cross_entropy(logits.float(), labels).backward()
    return int(live.peak)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_real_step_takes_what_was_predicted(name: str, precision: Precision) -> None:
    spec = parse_name(name)
    told = training_memory(spec, INPUT, 8, precision)
    predicted = told.peak - told.weights - told.momentum - told.average - told.images
    # Statistics of batches and autocast's casts in passing are left out.
    assert predicted == pytest.approx(step_bytes(spec, 8, precision), rel=0.03)


def test_the_parts_of_weights_are_counted_in_bytes() -> None:
    spec = parse_name("WRN-28-10")
    told = training_memory(spec, CIFAR_INPUT, 64)
    network = build_model(spec, CIFAR_INPUT)
    params = 4 * sum(p.numel() for p in network.parameters())
    statistics = 4 * sum(
        2 * m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d)
    )
    assert (told.gradients, told.momentum) == (params, params)
    assert (told.weights, told.average) == (params + statistics, params + statistics)
    assert told.images == 4 * 64 * 3 * 32 * 32
    assert told.peak_mib == round(told.peak / MIB, 1)


def test_activations_grow_with_the_batch_and_halve_in_bfloat16() -> None:
    spec = parse_name("WRN-16-4")
    one, two = (training_memory(spec, CIFAR_INPUT, n) for n in (32, 64))
    half = training_memory(spec, CIFAR_INPUT, 64, "bfloat16")
    assert two.activations == pytest.approx(2 * one.activations, rel=0.01)
    copies_of_weights = two.weights / 2
    assert half.activations == pytest.approx(two.activations / 2 + copies_of_weights, rel=0.02)


def test_recomputation_and_freezing_take_less() -> None:
    plain, efficient = (
        training_memory(parse_name(f"DenseNet-BC-40-12{end}"), CIFAR_INPUT, 64)
        for end in ("", "-efficient")
    )
    assert efficient.peak < plain.peak / 2
    digest = "0" * 16  # weights are never looked at on the meta device
    large = InputSpec(in_channels=3, image_size=64, num_classes=10)
    whole, frozen = (
        training_memory(parse_name(f"torchvision-resnet18-weights={digest}{end}"), large, 8)
        for end in ("", "-frozen3")
    )
    assert frozen.activations < whole.activations / 2
    assert frozen.gradients < whole.gradients
    assert frozen.momentum == frozen.gradients
    assert frozen.average < frozen.weights == whole.weights


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    training_memory(parse_name("WRN-10-1-dropout0.3"), INPUT, 7)
    assert torch.equal(torch.get_rng_state(), before)
