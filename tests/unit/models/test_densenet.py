"""DenseNet: connectivity, transitions, memory-efficient training."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from archsearch.models import DenseNetSpec, build_model
from archsearch.models.dense_blocks import DenseLayer, Transition
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name

INPUT = InputSpec(in_channels=3, image_size=8, num_classes=4)


def test_each_layer_reads_all_earlier_features_and_adds_k() -> None:
    network = build_model(DenseNetSpec(depth=13, growth_rate=5, bottleneck=False), INPUT)
    read: list[tuple[int, int]] = []
    for module in network.modules():
        if isinstance(module, DenseLayer):
            module.register_forward_hook(
                lambda _m, inputs, out: read.append(
                    (sum(x.shape[1] for x in inputs[0]), out.shape[1])
                )
            )
    network(torch.randn(2, 3, 8, 8))
    channels = [16 + 5 * i for i in range(9)]  # no compression: a transition keeps all channels
    assert read == [(count, 5) for count in channels]


@pytest.mark.parametrize(("compression", "kept"), [(1, 20), (0.5, 10), (0.7, 14), (0.33, 6)])
def test_a_transition_keeps_the_whole_part_of_theta_m_and_halves_the_image(
    compression: float, kept: int
) -> None:
    spec = DenseNetSpec(
        depth=10, growth_rate=10, compression=compression, stem_channels=10, bottleneck=True
    )
    transition = next(m for m in build_model(spec, INPUT).modules() if isinstance(m, Transition))
    assert transition(torch.randn(2, 20, 8, 8)).shape == (2, kept, 4, 4)


def test_dropout_follows_every_convolution_but_the_stem() -> None:
    network = build_model(parse_name("DenseNet-BC-10-4-dropout0.2"), INPUT)
    kinds = [type(m) for m in network.modules()]
    assert kinds.count(nn.Dropout) == kinds.count(nn.Conv2d) - 1


@pytest.mark.parametrize("dropout", ["", "-dropout0.2"])
def test_memory_efficient_training_changes_no_number(dropout: str) -> None:
    # Outputs, gradients and BatchNorm statistics: a repeated forward must not count twice.
    seen = []
    for suffix in ("", "-efficient"):
        torch.manual_seed(0)
        network = build_model(parse_name(f"DenseNet-BC-16-4{dropout}{suffix}"), INPUT).train()
        images = torch.randn(6, 3, 8, 8)
        for _ in range(2):
            network.zero_grad()
            logits = network(images)
            logits.square().sum().backward()
        gradients = [cast(Tensor, p.grad) for p in network.parameters()]
        seen.append([logits, *gradients, *network.buffers()])
    assert all(torch.equal(plain, efficient) for plain, efficient in zip(*seen, strict=True))


def test_memory_efficient_training_saves_less() -> None:
    def saved(name: str) -> int:
        network = build_model(parse_name(name), INPUT).train()
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            network(torch.randn(32, 3, 8, 8)).sum()
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    assert saved("DenseNet-BC-40-12-efficient") < 0.5 * saved("DenseNet-BC-40-12")


def test_evaluation_and_export_do_not_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("checkpointed")

    monkeypatch.setattr("archsearch.models.dense_blocks.checkpoint", refuse)
    network = build_model(parse_name("DenseNet-BC-10-4-efficient"), INPUT)
    with torch.no_grad():
        network(torch.randn(2, 3, 8, 8))
    network.eval()(torch.randn(2, 3, 8, 8))
    with pytest.raises(AssertionError, match="checkpointed"):
        network.train()(torch.randn(2, 3, 8, 8))
