"""Torchvision's ImageNet networks: their names, their published weights, and our specs of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Literal, get_args

from archsearch.models.densenet import DenseNetSpec
from archsearch.models.resnet import ResNetSpec
from archsearch.models.resnext import ResNeXtSpec
from archsearch.models.spec import normalise_name
from archsearch.models.wide_resnet import WideResNetSpec

NetworkName = Literal[
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]
NETWORK_NAMES: tuple[NetworkName, ...] = get_args(NetworkName)

PUBLISHED_WEIGHTS: Mapping[str, tuple[str, ...]] = {
    name: ("IMAGENET1K_V1",) for name in NETWORK_NAMES
} | {
    name: ("IMAGENET1K_V2", "IMAGENET1K_V1")
    for name in NETWORK_NAMES
    if re.fullmatch(r"resnet(50|101|152)|resnext(50_32x4d|101_32x8d)|wide_resnet.*", name)
}
"""Network → the weights that torchvision publishes; the first are what `default` means here.

Pinned, so that another version of torchvision does not change what a configuration means.
"""

Backbone = ResNetSpec | WideResNetSpec | ResNeXtSpec | DenseNetSpec


@functools.cache
def backbone(network: NetworkName) -> Backbone:
    """This project's spec of torchvision's network."""
    families: tuple[type[Backbone], ...] = (ResNetSpec, WideResNetSpec, ResNeXtSpec, DenseNetSpec)
    for family in families:
        fields = family.fields_of_name(normalise_name(network))
        if fields is not None:
            return family.model_validate(fields)
    raise AssertionError(f"no family has torchvision's {network}")


@functools.cache
def num_features(network: NetworkName) -> int:
    """How many features the backbone hands to the head."""
    return backbone(network).plan().out_channels
