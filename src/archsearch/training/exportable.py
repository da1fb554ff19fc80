"""What can be exported: a network, fresh or trained, with all that its file should say of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archsearch.data import PreparedData, load_resident
from archsearch.models import FamilySpec, build_model
from archsearch.schema import InputSpec
from archsearch.training.standalone import INPUT

_MOST_IMAGES = 64
_MOST_VALUES = 2**21


@dataclass(frozen=True)
class Exportable:
    """A network with all that its file says of it.

    Attributes:
        spec: Its architecture.
        input_spec: Of its images.
        network: Takes normalised images; on the processor, in evaluation mode.
        class_names: Label to name, in the order of the logits.
        mean: Per channel, in 0..1, as it was trained with.
        std: Per channel, as `mean`.
        images: (N, C, H, W) of float32 in 0..1, on which file and network are compared.
        compared_on: What these images are, for a sentence.
        is_untrained: Whether its weights are random.
        facts: More that the file's metadata should say, such as where it comes from.
    """

    spec: FamilySpec
    input_spec: InputSpec
    network: nn.Module
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: torch.Tensor
    compared_on: str
    is_untrained: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def metadata(self) -> dict[str, str]:
        """Name to text (JSON, where it is no text): labels, normalisation, origin."""
        told: dict[str, Any] = {
            "description": f"{self.spec.name} by archsearch. Input: {INPUT}.",
            "name": self.spec.name,
            "architecture": self.spec.model_dump(mode="json"),
            "class_names": self.class_names,
            "input": INPUT,
            "normalisation": "inside the model: (images - mean) / std, per channel",
            "mean": self.mean,
            "std": self.std,
            "archsearch_version": version("archsearch"),
            "torch_version": torch.__version__,
            **self.facts,
        }
        return {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in told.items()
            if value is not None
        }


def fresh_model(spec: FamilySpec, input_spec: InputSpec, seed: int) -> Exportable:
    """A network with the initial weights of a seed, and statistics that fit them.

    Untrained BatchNorm passes values on as they are, and in a deep residual network their variance
    then doubles from block to block: the logits of a fresh ResNet-110 reach 10^8. So its running
    statistics are set to those of noise, unless pretrained weights bring their own.

    Raises:
        ArchitectureError: The images are too small for the network.
        UnfitError: Pretrained weights that its name asks for cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(spec, input_spec)
        images = noise(input_spec)
    channels = input_spec.in_channels
    is_untrained = not _has_statistics(network)
    if is_untrained:
        settle_statistics(network, images)
    return Exportable(
        spec=spec,
        input_spec=input_spec,
        network=network.requires_grad_(False).eval(),
        class_names=tuple(str(label) for label in range(input_spec.num_classes)),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        images=images,
        compared_on="images of noise",
        is_untrained=is_untrained,
        facts={"weights": f"not trained here; new ones from seed {seed}"},
    )


def trained_model(
    spec: FamilySpec, network: nn.Module, data: PreparedData, facts: Mapping[str, Any]
) -> Exportable:
    """A trained network, compared on validation images where the data is still on this machine."""
    if Path(data.path).is_file():
        images = load_resident(data).val.images[:_MOST_IMAGES].to(torch.float32) / 255
        compared_on = "validation images"
    else:
        images, compared_on = noise(data.input_spec), "images of noise"
    return Exportable(
        spec=spec,
        input_spec=data.input_spec,
        network=network,
        class_names=data.class_names,
        mean=data.mean,
        std=data.std,
        images=images,
        compared_on=compared_on,
        facts={
            "data": data.name,
            "data_digest": data.digest,
            "multi_label": data.multi_label,
            **facts,
        },
    )


def noise(input_spec: InputSpec) -> torch.Tensor:
    """Images (N, C, H, W) of uniform noise in 0..1, always the same; fewer if they are large."""
    shape = (input_spec.in_channels, input_spec.image_size, input_spec.image_size)
    number = min(_MOST_IMAGES, max(4, _MOST_VALUES // math.prod(shape)))
    return torch.rand(number, *shape, generator=torch.Generator().manual_seed(0))


def _has_statistics(network: nn.Module) -> bool:
    """Whether BatchNorm's running means are no longer the zeros that they start from."""
    norms = (module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    return any(bool(norm.running_mean.any()) for norm in norms if norm.running_mean is not None)


@torch.no_grad()
def settle_statistics(network: nn.Module, images: torch.Tensor) -> None:
    """Set BatchNorm's running statistics to those of one batch (N, C, H, W), N > 1."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    dropouts = [m for m in network.modules() if isinstance(m, nn.Dropout)]
    network.train()
    for dropout in dropouts:
        dropout.eval()
    for norm in norms:
        norm.momentum = 1.0
    network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
