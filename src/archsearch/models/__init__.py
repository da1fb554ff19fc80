"""Model families: one frozen spec a family, and the networks that the specs describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from archsearch.models.densenet import DenseNetSpec
from archsearch.models.finetune import TorchvisionSpec
from archsearch.models.resnet import ResNetSpec
from archsearch.models.resnext import ResNeXtSpec
from archsearch.models.spec import Architecture, ArchitectureError
from archsearch.models.wide_resnet import WideResNetSpec
from archsearch.schema import InputSpec

if TYPE_CHECKING:
    from archsearch.models.network import Network

__all__ = [
    "FAMILIES",
    "Architecture",
    "ArchitectureError",
    "ArchitectureSpec",
    "DenseNetSpec",
    "FamilySpec",
    "ResNeXtSpec",
    "ResNetSpec",
    "TorchvisionSpec",
    "WideResNetSpec",
    "build_model",
]

FamilySpec = ResNetSpec | WideResNetSpec | ResNeXtSpec | DenseNetSpec | TorchvisionSpec
"""Any spec; `ArchitectureSpec` is the same as a pydantic field, told apart by `family`."""

ArchitectureSpec = Annotated[FamilySpec, Field(discriminator="family")]

FAMILIES: Mapping[str, type[FamilySpec]] = {
    "resnet": ResNetSpec,
    "wrn": WideResNetSpec,
    "resnext": ResNeXtSpec,
    "densenet": DenseNetSpec,
    "torchvision": TorchvisionSpec,
}
"""Family name, as a space file and `Spec.family` write it → spec."""


def build_model(spec: FamilySpec, input_spec: InputSpec, *, pretrained: bool = True) -> Network:
    """The network that `spec` describes, on torch's default device.

    Weights come from torch's global generator: seed it for the same weights.

    Args:
        spec: Which network.
        input_spec: Channels and size of the images, number of classes.
        pretrained: Whether to load the weights that a spec for fine-tuning names. Not needed
            where a checkpoint replaces them all; on the meta device nothing is loaded anyway.

    Raises:
        ArchitectureError: the images are too small for the network.
        UnfitError: pretrained weights are missing, damaged or another network's.
    """
    spec.check_input(input_spec)
    return spec.build(input_spec, pretrained=pretrained)
