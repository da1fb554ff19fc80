"""Published networks by name, both ways: `parse_name(spec.name) == spec` for every spec."""

from __future__ import annotations

import difflib
import re

from pydantic import ValidationError

from archsearch.models import FAMILIES, ArchitectureError, FamilySpec
from archsearch.models.finetune import with_digest
from archsearch.models.spec import normalise_name, sentences
from archsearch.schema import InputSpec

PUBLISHED_NAMES: tuple[str, ...] = (
    # arXiv:1512.03385, tables 1 and 6
    *(f"ResNet-{depth}" for depth in (20, 32, 44, 56, 110, 1202, 18, 34, 50, 101, 152)),
    # arXiv:1603.05027, tables 2 to 5
    "ResNet-164",
    *(f"preact-ResNet-{depth}" for depth in (110, 164, 1001, 101, 152, 200)),
    # arXiv:1605.07146, tables 2 to 9
    *(f"WRN-40-{k}" for k in (1, 2, 4, 8)),
    *(f"WRN-28-{k}" for k in (10, 12)),
    *(f"WRN-22-{k}" for k in (8, 10)),
    *(f"WRN-16-{k}" for k in (4, 8, 10)),
    *(f"WRN-40-2-{block}" for block in ("B(1,3,1)", "B(3,1)", "B(1,3)", "B(3,1,1)")),
    *("WRN-28-2", "WRN-22-2-B(3,1,3)"),
    *(f"WRN-40-2-l={convs}" for convs in (1, 3, 4)),
    *(f"WRN-{d}-dropout0.3" for d in ("16-4", "28-10")),
    "WRN-16-8-dropout0.4",
    *(f"WRN-{depth}-{k}-basic" for depth in (18, 34) for k in (1.5, 2, 3)),
    *("WRN-50-2-bottleneck", "WRN-101-2-bottleneck"),
    # arXiv:1611.05431, tables 1 to 7
    *(f"ResNeXt-29-{template}" for template in ("8x64d", "16x64d", "1x64d")),
    *(f"ResNeXt-50-{template}" for template in ("32x4d", "2x40d", "4x24d", "8x14d")),
    *(f"ResNeXt-101-{t}" for t in ("32x4d", "2x40d", "4x24d", "8x14d", "2x64d", "64x4d", "32x8d")),
    # arXiv:1608.06993, tables 1 to 3
    *("DenseNet-40-12", "DenseNet-100-12", "DenseNet-100-24"),
    *("DenseNet-BC-100-12", "DenseNet-BC-250-24", "DenseNet-BC-190-40"),
    *(f"DenseNet-{depth}" for depth in (121, 161, 169, 201, 264)),
)
"""Canonical names of networks that the four families' papers and repositories report."""

CIFAR_INPUT = InputSpec(in_channels=3, image_size=32, num_classes=10)
IMAGENET_INPUT = InputSpec(in_channels=3, image_size=224, num_classes=1000)

_EXAMPLES = (
    "ResNet-110",
    "preact-ResNet-164",
    "WRN-28-10",
    "ResNeXt-29-8x64d",
    "DenseNet-BC-100-12",
    "torchvision-resnet50-pretrained",
)
"""One name for each form that names take, for messages."""

_ALIASES: tuple[tuple[str, str], ...] = (
    # The ResNeXt paper's baselines: with 64 channels on ImageNet it is the plain ResNet (table 1).
    (r"resnet-?(50|101|152|200)-?\(?1x64d\)?", r"resnet-\1"),
    (r"resnet-?(\d+)-?\(?(1x\d+d)\)?", r"resnext-\1-\2"),
    # The Fashion-MNIST leaderboard; the parameter count tells the member, erasing is augmentation.
    (r"densenet-bc-?\(768kparams\)", "densenet-bc-100-12"),
    (r"(.+)-\+-random-erasing", r"\1"),
)


def parse_name(text: str) -> FamilySpec:
    """The spec that a published-style name stands for.

    Blanks, hyphens and underscores are one, case does not matter: `WRN-28-10`, `wide_resnet50_2`,
    `preact-ResNet-110`, `ResNeXt-29, 8×64d`, `DenseNet-BC (L=100, k=12)`. Torchvision's networks,
    to be fine-tuned, begin with its name: `torchvision-resnet50-pretrained-frozen2`; their weights
    may come from a file: `torchvision-resnet18-weights=PATH.pth`.

    Raises:
        ArchitectureError: no family has such a name, or the network breaks a rule of its family.
        UnfitError: a file of weights cannot be read.
    """
    name = normalise_name(with_digest(text))
    for pattern, replacement in _ALIASES:
        name = re.sub(f"^(?:{pattern})$", replacement, name)
    for family in FAMILIES.values():
        fields = family.fields_of_name(name)
        if fields is None:
            continue
        try:
            return family.model_validate(fields)
        except ValidationError as error:
            raise ArchitectureError(f"{text!r} names no network: {sentences(error)}") from error
    near = difflib.get_close_matches(text, PUBLISHED_NAMES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ArchitectureError(
        f"unknown network {text!r}: {hint}names look like {', '.join(_EXAMPLES)}"
    )


def default_input(name: str) -> InputSpec:
    """What the named network was published on: ImageNet at 224×224 or CIFAR-10.

    Raises:
        ArchitectureError: as `parse_name`.
    """
    return IMAGENET_INPUT if parse_name(name).is_imagenet else CIFAR_INPUT
