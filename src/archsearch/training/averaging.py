"""An exponential moving average of weights and BatchNorm statistics, one fused update a step."""

from __future__ import annotations

import copy

import torch
from torch import nn

from archsearch.models.network import is_frozen

MAX_DECAY = 0.96


def decay_at(step: int) -> float:
    """Share of the average that step `step` (0-based) keeps: min(0.96, (1 + t) / (10 + t)).

    It starts at 0.1, so that the random initial weights are soon forgotten, and reaches 0.96,
    a memory of about 25 steps, at step 215.
    """
    return min(MAX_DECAY, (1 + step) / (10 + step))


class WeightAverage:
    """A network that is the moving average of another, BatchNorm's running statistics included.

    Statistics are averaged too because those of the raw weights do not fit averaged ones. Frozen
    tensors are their own average: both networks share them, in memory and in a checkpoint.
    """

    def __init__(self, model: nn.Module) -> None:
        shared = {id(tensor): tensor for tensor in _frozen_tensors(model)}
        self.model = copy.deepcopy(model, shared).requires_grad_(False).eval()
        sources = _averaged_tensors(model)
        self._sources = list(sources.values())
        targets = self.model.state_dict()
        self._targets = [targets[name] for name in sources]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network's tensors as they are after optimizer step `step` (0-based)."""
        torch._foreach_lerp_(self._targets, self._sources, 1 - decay_at(step))


def _averaged_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Name to tensor of what is averaged: all but counters, and but what is frozen."""
    frozen = {tensor.data_ptr() for tensor in _frozen_tensors(model)}
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and tensor.data_ptr() not in frozen
    }


def _frozen_tensors(model: nn.Module) -> list[torch.Tensor]:
    """Parameters and statistics, counters included, that training leaves as they are."""
    return [
        tensor
        for module in model.modules()
        if is_frozen(module)
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
    ]
