"""Model families: one frozen spec a family, and the networks that the specs describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from archsearch.models.densenet import DenseNetSpec
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
    "WideResNetSpec",
    "build_model",
]

FamilySpec = ResNetSpec | WideResNetSpec | ResNeXtSpec | DenseNetSpec
"""Any spec; `ArchitectureSpec` is the same as a pydantic field, told apart by `family`."""

ArchitectureSpec = Annotated[FamilySpec, Field(discriminator="family")]

FAMILIES: Mapping[str, type[FamilySpec]] = {
    "resnet": ResNetSpec,
    "wrn": WideResNetSpec,
    "resnext": ResNeXtSpec,
    "densenet": DenseNetSpec,
}
"""Family name, as a space file and `Spec.family` write it → spec."""


def build_model(spec: FamilySpec, input_spec: InputSpec) -> Network:
    """The network that `spec` describes, on torch's default device.

    Weights come from torch's global generator: seed it for the same weights.

    Args:
        spec: Which network.
        input_spec: Channels and size of the images, number of classes.

    Raises:
        ArchitectureError: the images are too small for the network.
    """
    # Specs are read, named and checked without torch; only building needs it.
    from archsearch.models.network import build_dense, build_residual

    spec.check_input(input_spec)
    if isinstance(spec, DenseNetSpec):
        return build_dense(spec.plan(), input_spec.in_channels, input_spec.num_classes)
    return build_residual(spec.plan(), input_spec.in_channels, input_spec.num_classes)
