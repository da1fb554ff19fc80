"""What a network costs, known before any memory is taken: everything runs on the meta device."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from archsearch.models import FamilySpec, build_model
from archsearch.schema import Frozen, InputSpec

COUNTED_LAYERS = (nn.Conv2d, nn.Linear)


class Complexity(Frozen):
    """The cost of one network on one image."""

    params: int
    """Parameters, those of frozen stages included."""
    macs: int
    """Multiply-accumulates of convolutions and linear layers in a forward pass of one image."""
    activations: int
    """Output values of convolutions and linear layers, one image (arXiv:2003.13678, section 3)."""


class LayerRow(Frozen):
    """One layer in the order in which it runs; shapes without the batch."""

    path: str
    """Where it stands in the network, for example `stages.0.1.branch.conv1`."""
    stage: str
    """`stem`, `stage 1`, …, `head`."""
    kind: str
    """What it is, for example `Conv2d 3×3 /2 g32`."""
    output_shape: tuple[int, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Walk:
    """What one image through a network showed: layers in running order, and their sums."""

    rows: tuple[LayerRow, ...]
    complexity: Complexity


def complexity(spec: FamilySpec, input_spec: InputSpec) -> Complexity:
    """Parameters, MACs and activations of a network, without building it in memory; cached.

    Raises:
        ArchitectureError: the images are too small for the network.
    """
    return _walk(spec, input_spec).complexity


def layer_table(spec: FamilySpec, input_spec: InputSpec) -> tuple[LayerRow, ...]:
    """Every layer without children that ran, in order, as torchinfo lists them.

    Raises:
        ArchitectureError: the images are too small for the network.
    """
    return _walk(spec, input_spec).rows


def stage_totals(rows: tuple[LayerRow, ...]) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """Stage → (output shape, parameters, MACs), in the order in which stages run."""
    totals: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for row in rows:
        _, params, macs = totals.get(row.stage, ((), 0, 0))
        totals[row.stage] = (row.output_shape, params + row.params, macs + row.macs)
    return totals


@functools.lru_cache(maxsize=256)
def _walk(spec: FamilySpec, input_spec: InputSpec) -> Walk:
    """Run one image through the network on the meta device and note every layer."""
    with torch.device("meta"):
        network = build_model(spec, input_spec).eval()
        image = torch.empty(
            1, input_spec.in_channels, input_spec.image_size, input_spec.image_size
        )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # It keeps shapes, and on the meta device takes twenty times as long as a convolution.
            module.forward = _same  # type: ignore[method-assign]
    return walk_module(network, image)


def walk_module(network: nn.Module, image: Tensor) -> Walk:
    """Run `image` (1, C, H, W) through any network and note every layer without children.

    An output value of a convolution or linear layer takes one multiply-accumulate for each weight
    of its filter: half the operations that `torch.utils.flop_counter` counts, in less time.
    """
    leaves = {
        module: path
        for path, module in network.named_modules()
        if not any(module.children()) and not isinstance(module, nn.Identity)
    }
    rows: list[LayerRow] = []

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        path = leaves.get(layer)
        if path is None:
            return
        rows.append(
            LayerRow(
                path=path,
                stage=_stage_of(path),
                kind=_kind_of(layer),
                output_shape=tuple(output.shape[1:]),
                params=sum(p.numel() for p in layer.parameters()),
                macs=output.numel() * layer.weight[0].numel()
                if isinstance(layer, COUNTED_LAYERS)
                else 0,
            )
        )

    # One hook for all modules: a handle for each would take longer than the forward pass.
    handle = register_module_forward_hook(note)
    try:
        with torch.no_grad():
            network(image)
    finally:
        handle.remove()
    total = Complexity(
        params=sum(p.numel() for p in network.parameters()),
        macs=sum(row.macs for row in rows),
        activations=sum(math.prod(row.output_shape) for row in rows if row.macs),
    )
    return Walk(tuple(rows), total)


def _same(input: Tensor) -> Tensor:
    return input


def _stage_of(path: str) -> str:
    parts = path.split(".")
    return f"stage {int(parts[1]) + 1}" if parts[0] == "stages" else parts[0]


def _kind_of(layer: nn.Module) -> str:
    name = type(layer).__name__
    if not isinstance(layer, nn.Conv2d):
        return name
    stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
    groups = f" g{layer.groups}" if layer.groups > 1 else ""
    return f"{name} {layer.kernel_size[0]}×{layer.kernel_size[1]}{stride}{groups}"
