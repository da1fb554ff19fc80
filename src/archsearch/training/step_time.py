"""How long an optimizer step takes: a sum of a few costs, each with a price that a machine has.

The costs of a network are counted on the meta device; the prices are fitted once a machine, see
`archsearch.training.calibration`. A step is forward, loss, backward, update and averaging; what
surrounds it (shuffling, augmentation, validation, checkpoints) is not in it. Errors over 50 random
members, the machine's drift taken out: median 6 %, 90th percentile 19 % in float32, 11 % and 26 %
in bfloat16 (`benchmarks/cost_model.py`: torch 2.14, Xeon with AMX shared with others, one thread).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from archsearch.models import FamilySpec, build_model
from archsearch.models.network import is_frozen
from archsearch.schema import Frozen, InputSpec

CHANNEL_BLOCK = 16
"""Kernels work on so many channels at once (16 float32 in AVX-512): fewer cost as much."""
_FORWARD_SHARE = 1 / 3
"""What is left of a layer's cost without its backward pass, which is two like the forward."""
_RECOMPUTED = 4 / 3
"""What it costs to do the forward pass twice."""


class StepCosts(NamedTuple):
    """What a step is made of; multiply-accumulates count channels in whole blocks of 16."""

    steps: float = 0.0
    """1 for every step: what does not depend on the network."""
    dense_macs: float = 0.0
    """Multiply-accumulates of ungrouped convolutions larger than 1×1."""
    pointwise_macs: float = 0.0
    """Multiply-accumulates of ungrouped 1×1 convolutions and linear layers."""
    grouped_macs: float = 0.0
    """Multiply-accumulates of grouped convolutions."""
    layers: float = 0.0
    """Convolutions, linear and normalisation layers."""
    values: float = 0.0
    """Numbers that pass through memory: in and out of convolutions, out of normalisations."""
    dropped_values: float = 0.0
    """Numbers that pass through dropout."""
    params: float = 0.0
    """Trainable parameters, each updated and averaged."""


class StepTimeModel(Frozen):
    """The prices of one machine, in seconds for one of each of `StepCosts`."""

    prices: dict[str, float]

    def seconds(self, spec: FamilySpec, input_spec: InputSpec, batch_size: int) -> float:
        """Predicted time of one step.

        Raises:
            ArchitectureError: The images are too small for the network.
        """
        costs = step_costs(spec, input_spec, batch_size)._asdict()
        return float(sum(self.prices.get(name, 0.0) * n for name, n in costs.items()))


@functools.lru_cache(maxsize=256)
def step_costs(spec: FamilySpec, input_spec: InputSpec, batch_size: int) -> StepCosts:
    """What a step of a network is made of, counted on the meta device; cached.

    Raises:
        ArchitectureError: The images are too small for the network.
    """
    side = input_spec.image_size
    with torch.device("meta"):
        network = build_model(spec, input_spec).eval()
        image = torch.empty(1, input_spec.in_channels, side, side)
    costs = [StepCosts(params=sum(p.numel() for p in network.parameters() if p.requires_grad))]

    def note(layer: nn.Module, inputs: tuple[object, ...], output: Tensor) -> None:
        cost = _layer_costs(layer, inputs[0], output)
        if cost is not None:
            costs.append(_scaled(cost, _FORWARD_SHARE) if is_frozen(layer) else cost)

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = _same  # type: ignore[assignment]
    handle = register_module_forward_hook(note)
    try:
        with torch.no_grad():
            network(image)
    finally:
        handle.remove()
    total = StepCosts(*(sum(column) for column in zip(*costs, strict=True)))
    if spec.recomputes_activations:
        total = _scaled(total, _RECOMPUTED)._replace(params=total.params)
    return StepCosts(
        steps=1.0,
        dense_macs=total.dense_macs * batch_size,
        pointwise_macs=total.pointwise_macs * batch_size,
        grouped_macs=total.grouped_macs * batch_size,
        layers=total.layers,
        values=total.values * batch_size,
        dropped_values=total.dropped_values * batch_size,
        params=total.params,
    )


def _layer_costs(layer: nn.Module, x: object, output: Tensor) -> StepCosts | None:
    """The costs of one image in one layer; None for a layer that costs next to nothing."""
    if not isinstance(x, Tensor):
        return None
    if isinstance(layer, nn.BatchNorm2d):
        return StepCosts(layers=1, values=output.numel())
    if isinstance(layer, nn.Dropout):
        return StepCosts(dropped_values=output.numel())
    if isinstance(layer, nn.Linear):
        macs = _in_blocks(layer.in_features) * _in_blocks(layer.out_features)
        return StepCosts(layers=1, pointwise_macs=macs)
    if not isinstance(layer, nn.Conv2d):
        return None
    groups, taps = layer.groups, math.prod(layer.kernel_size)
    width_in, width_out = layer.in_channels // groups, layer.out_channels // groups
    pixels = output.shape[2] * output.shape[3]
    macs = pixels * groups * taps * _in_blocks(width_in) * _in_blocks(width_out)
    return StepCosts(
        layers=1,
        values=(x.numel() + output.numel()) / 2,
        dense_macs=macs if groups == 1 and taps > 1 else 0,
        pointwise_macs=macs if groups == 1 and taps == 1 else 0,
        grouped_macs=macs if groups > 1 else 0,
    )


def _in_blocks(channels: int) -> int:
    return -(-channels // CHANNEL_BLOCK) * CHANNEL_BLOCK


def _scaled(costs: StepCosts, factor: float) -> StepCosts:
    return StepCosts(*(factor * amount for amount in costs))


def _same(x: Tensor) -> Tensor:
    return x
