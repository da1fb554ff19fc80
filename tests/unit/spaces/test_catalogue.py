"""Names both ways, in every spelling that the papers and their readers use."""

from __future__ import annotations

import pytest

from archsearch.models import ArchitectureError
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import PUBLISHED_NAMES, default_input, parse_name


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_names_are_canonical(name: str) -> None:
    assert parse_name(name).name == name


def test_published_names_are_listed_once() -> None:
    assert len(set(PUBLISHED_NAMES)) == len(PUBLISHED_NAMES)
    assert len({parse_name(name) for name in PUBLISHED_NAMES}) == len(PUBLISHED_NAMES)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("resnet20", "ResNet-20"),
        ("ResNet 20", "ResNet-20"),
        ("ResNet18", "ResNet-18"),
        ("PreActResNet-110", "preact-ResNet-110"),
        ("PreActResNet-1001", "preact-ResNet-1001"),
        ("pre-act-ResNet-164", "preact-ResNet-164"),
        ("Pre-ResNet-164", "preact-ResNet-164"),
        ("preresnet110", "preact-ResNet-110"),
        ("resnet-20-b", "ResNet-20-B"),
        ("ResNet-34 A", "ResNet-34-A"),
        ("ResNet-34 B", "ResNet-34"),
        ("ResNet-110-basic-A-cifar", "ResNet-110"),
        ("ResNet-164-basic", "ResNet-164-basic"),
        ("ResNet-50-cifar", "ResNet-50-cifar"),
        ("ResNet-18-(2x64,2x128,2x256,2x512)", "ResNet-18"),
        ("ResNet-18-(2x64, 2x128, 2x256, 2x512)", "ResNet-18"),
        ("wrn-28-10", "WRN-28-10"),
        ("WRN-28x10", "WRN-28-10"),
        ("WRN28-10", "WRN-28-10"),
        ("Wide ResNet 28-10", "WRN-28-10"),
        ("WideResNet-34-10", "WRN-34-10"),
        ("wide_resnet34_2", "WRN-34-2-basic"),
        ("WRN-28-2-B(3,3)", "WRN-28-2"),
        ("WRN-40-2-b(1, 3, 1)", "WRN-40-2-B(1,3,1)"),
        ("WRN-40-2 l=1", "WRN-40-2-l=1"),
        ("WRN-40-2-l=2", "WRN-40-2"),
        ("WRN-40-2-l3", "WRN-40-2-l=3"),
        ("WRN-40-2-B(3)", "WRN-40-2-l=1"),
        ("WRN-40-2-B(3,3,3)", "WRN-40-2-l=3"),
        ("WRN-16-4-dropout", "WRN-16-4-dropout0.3"),
        ("WRN-16-8-dropout=0.4", "WRN-16-8-dropout0.4"),
        ("WRN-50-2", "WRN-50-2-bottleneck"),
        ("WRN-28-10 + Random Erasing", "WRN-28-10"),
        ("ResNeXt-29, 8x64d", "ResNeXt-29-8x64d"),
        ("ResNeXt-29, 8×64d", "ResNeXt-29-8x64d"),
        ("ResNeXt-50 (32×4d)", "ResNeXt-50-32x4d"),
        ("ResNeXt-50 4x24d", "ResNeXt-50-4x24d"),
        ("resnext101_64x4d", "ResNeXt-101-64x4d"),
        ("ResNet-50 1x64d", "ResNet-50"),
        ("ResNet-101-1x64d", "ResNet-101"),
        ("ResNet-29 1x64d", "ResNeXt-29-1x64d"),
        ("ResNeXt-101-32x4d-cifar", "ResNeXt-101-32x4d-cifar"),
        ("densenet121", "DenseNet-121"),
        ("DenseNet-161 (k=48)", "DenseNet-161"),
        ("DenseNet-169-k48", "DenseNet-169-k48"),
        ("DenseNet-BC-121", "DenseNet-121"),
        ("DenseNet-121-12", "DenseNet-121-12"),
        ("DenseNet (L=40, k=12)", "DenseNet-40-12"),
        ("DenseNet-BC (L=190, k=40)", "DenseNet-BC-190-40"),
        ("DenseNet-BC-L=100-k=12", "DenseNet-BC-100-12"),
        ("DenseNet-BC (768K params)", "DenseNet-BC-100-12"),
        ("DenseNet-BC-100-12-theta0.5", "DenseNet-BC-100-12"),
        ("DenseNet-40-12-theta0.5", "DenseNet-C-40-12"),
        ("DenseNet-B-100-12-efficient", "DenseNet-B-100-12-efficient"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert parse_name(spelling).name == name
    assert parse_name(spelling.replace(" ", "-")).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WRN-28-01x", "unknown network 'WRN-28-01x': did you mean .*WRN-28-10"),
        ("VGG-16", "unknown network 'VGG-16': names look like ResNet-110, .*WRN-28-10"),
        ("", "unknown network ''"),
        ("WRN-17-2", r"'WRN-17-2' names no network: `depth = 6n \+ 4` must hold"),
        ("ResNet-21", r"`depth = 6n \+ 2` must hold"),
        ("ResNeXt-28-8x64d", r"`depth = 9n \+ 2` must hold"),
        ("ResNeXt-29", "does not say its cardinality and bottleneck width"),
        ("DenseNet-41-12", r"`depth = 3n \+ 4` must hold"),
        ("DenseNet-BC-101-12", r"`depth = 6n \+ 4` must hold"),
        ("DenseNet-122", "one of 121, 161, 169, 201, 264"),
        ("DenseNet-100-12-k24", "says its growth_rate twice"),
        ("ResNet-20-wide", "unknown part 'wide' in 'resnet-20-wide'; names look like"),
        ("ResNet-20-A-B", "says its shortcut twice"),
        ("ResNet-9-(1x8)", "`depth = 4` must hold"),
        ("WRN-28-10-B(5,5)", "names no network: block: "),
        ("wide_resnet28_10", "one of 50, 101, 152, 200"),
        ("DenseNet-BC-100-12-theta2", "names no network: compression: "),
    ],
)
def test_unknown_and_impossible_names_say_why(text: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message) as caught:
        parse_name(text)
    assert caught.value.exit_code == 2


def test_default_inputs_follow_the_name() -> None:
    imagenet = InputSpec(in_channels=3, image_size=224, num_classes=1000)
    cifar = InputSpec(in_channels=3, image_size=32, num_classes=10)
    for name in ("ResNet-50", "wide_resnet50_2", "ResNeXt-101-32x8d", "DenseNet-121", "WRN-50-2"):
        assert default_input(name) == imagenet
    for name in ("ResNet-110", "WRN-28-10", "ResNeXt-29-8x64d", "DenseNet-121-12"):
        assert default_input(name) == cifar
