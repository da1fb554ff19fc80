"""ImageNet forms against torchvision: the same shapes in the same order, the same outputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models._api import get_model  # mypy: the package does not re-export it

from archsearch.models import build_model
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import default_input, parse_name

TWINS = {
    "ResNet-18": "resnet18",
    "ResNet-34": "resnet34",
    "ResNet-50": "resnet50",
    "ResNet-101": "resnet101",
    "ResNet-152": "resnet152",
    "ResNeXt-50-32x4d": "resnext50_32x4d",
    "ResNeXt-101-32x8d": "resnext101_32x8d",
    "ResNeXt-101-64x4d": "resnext101_64x4d",
    "WRN-50-2-bottleneck": "wide_resnet50_2",
    "WRN-101-2-bottleneck": "wide_resnet101_2",
    "DenseNet-121": "densenet121",
    "DenseNet-161": "densenet161",
    "DenseNet-169": "densenet169",
    "DenseNet-201": "densenet201",
}
SMALL = InputSpec(in_channels=3, image_size=64, num_classes=1000)
# One of each kind of block; the others differ in counts and channels alone.
COMPARED = ("ResNet-18", "ResNet-50", "ResNeXt-50-32x4d", "WRN-50-2-bottleneck", "DenseNet-121")


def _twin(name: str) -> nn.Module:
    twin: nn.Module = get_model(name, weights=None)
    return twin


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_both_spellings_are_one_network(name: str, twin: str) -> None:
    assert parse_name(twin) == parse_name(name)
    assert parse_name(twin).name == name
    assert default_input(twin) == InputSpec(in_channels=3, image_size=224, num_classes=1000)


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_state_shapes_are_identical_and_in_the_same_order(name: str, twin: str) -> None:
    with torch.device("meta"):
        ours, theirs = build_model(parse_name(name), SMALL), _twin(twin)
    assert [value.shape for value in ours.state_dict().values()] == [
        value.shape for value in theirs.state_dict().values()
    ]


@pytest.mark.parametrize(
    ("name", "training"),
    [*((name, False) for name in COMPARED), ("ResNet-50", True), ("DenseNet-121", True)],
)
def test_outputs_are_equal_with_copied_weights(name: str, training: bool) -> None:
    torch.manual_seed(0)
    theirs = _twin(TWINS[name]).train(training)
    with torch.device("meta"):
        ours = build_model(parse_name(name), SMALL)
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state, assign=True)
    ours.train(training)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(images)
        # Both hold the same buffers: the second pass must not see statistics of the first.
        torch.testing.assert_close(ours(images), expected, rtol=1e-5, atol=1e-5)
