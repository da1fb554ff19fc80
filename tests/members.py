"""Random and small members of every family, for tests."""

from __future__ import annotations

from typing import Any, Literal

from hypothesis import strategies as st

from archsearch.models import (
    DenseNetSpec,
    FamilySpec,
    ResNetSpec,
    ResNeXtSpec,
    WideResNetSpec,
)
from archsearch.models.plan import StemKind
from archsearch.models.residual import BlockKind
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name

SMALL_NAMES = (
    "ResNet-8",
    "ResNet-11",
    "ResNet-8-B",
    "ResNet-8-C",
    "preact-ResNet-8",
    "preact-ResNet-8-C",
    "preact-ResNet-11",
    "ResNet-10-(1x8,1x8,1x16,1x32)",
    "preact-ResNet-14-(1x8,1x16,1x16,1x32)-bottleneck",
    "ResNet-6-(1x8,1x16)-cifar",
    "WRN-10-1",
    "WRN-10-2",
    "WRN-10-1-B(3,1,3)",
    "WRN-10-2-B(1,3,1)",
    "WRN-10-1-B(1,3)",
    "WRN-10-1-B(3,1)",
    "WRN-10-1-B(3,1,1)",
    "WRN-7-2-l=1",
    "WRN-13-1-l=3",
    "WRN-10-1-dropout0.3",
    "ResNeXt-11-4x4d",
    "ResNeXt-8-(1x16:2x4d,1x32:4x4d)",
    "ResNeXt-8-(1x16:2x4d,1x32:4x4d)-cifar",
    "DenseNet-7-4",
    "DenseNet-C-7-4",
    "DenseNet-B-10-4",
    "DenseNet-BC-10-4-theta0.7",
    "DenseNet-BC-10-4-dropout0.2-efficient",
    "DenseNet-C-7-4-(1,1,1)",
    "DenseNet-BC-9-4-(2,1)-s12-cifar",
)
"""One cheap network for every value of every field."""

IMAGENET_INPUT = InputSpec(in_channels=3, image_size=32, num_classes=5)
SMALL_INPUT = InputSpec(in_channels=2, image_size=8, num_classes=3)


def small_input(spec: FamilySpec) -> InputSpec:
    """The smallest sensible input of a network."""
    return IMAGENET_INPUT if spec.is_imagenet else SMALL_INPUT


def small_members() -> list[FamilySpec]:
    """The specs of `SMALL_NAMES`."""
    return [parse_name(name) for name in SMALL_NAMES]


BLOCK_TYPES = ("B(3,3)", "B(3,1,3)", "B(1,3,1)", "B(1,3)", "B(3,1)", "B(3,1,1)")
_stems: st.SearchStrategy[StemKind] = st.sampled_from(["cifar", "imagenet"])
_blocks: st.SearchStrategy[BlockKind] = st.sampled_from(["basic", "bottleneck"])
_orders: st.SearchStrategy[Literal["post", "pre"]] = st.sampled_from(["post", "pre"])
_n = st.integers(1, 3)
_dropout = st.sampled_from([0.0, 0.1, 0.25])


@st.composite
def resnets(draw: st.DrawFn) -> ResNetSpec:
    """CIFAR and own-stage ResNets with small stages."""
    block = draw(_blocks)
    order = draw(_orders)
    if draw(st.booleans()):
        depth = (6 if block == "basic" else 9) * draw(_n) + 2
        shortcut = draw(st.sampled_from(["A", "B", "C"]))
        return ResNetSpec.model_validate(
            {"depth": depth, "block": block, "activation_order": order, "shortcut": shortcut}
        )
    stage = st.tuples(st.integers(1, 2), st.integers(1, 12))
    stages = tuple(draw(st.lists(stage, min_size=1, max_size=4)))
    stem = draw(_stems)
    return ResNetSpec.from_stages(stages, block=block, stem=stem, activation_order=order)


@st.composite
def wide_resnets(draw: st.DrawFn) -> WideResNetSpec:
    """CIFAR WRNs of any block type, with whole and broken widening factors."""
    block = draw(
        st.sampled_from(["B(3,3)", "B(3,1,3)", "B(1,3,1)", "B(1,3)", "B(3,1)", "B(3,1,1)"])
    )
    convs = draw(st.integers(1, 4)) if block == "B(3,3)" else 2
    return WideResNetSpec.model_validate(
        {
            "depth": 3 * convs * draw(_n) + 4,
            "widen_factor": draw(st.sampled_from([0.5, 1, 1.5, 2, 3])),
            "block": block,
            "deepening_factor": convs,
            "dropout": draw(_dropout) if convs > 1 else 0.0,
        }
    )


@st.composite
def resnexts(draw: st.DrawFn) -> ResNeXtSpec:
    """CIFAR and own-stage ResNeXts."""
    if draw(st.booleans()):
        return ResNeXtSpec(
            depth=9 * draw(st.integers(1, 2)) + 2,
            cardinality=draw(st.integers(1, 4)),
            bottleneck_width=draw(st.integers(1, 8)),
        )
    group_width = draw(st.sampled_from([1, 2, 4]))
    stage = st.tuples(st.integers(1, 2), st.sampled_from([8, 16, 24]))
    return ResNeXtSpec.from_stages(
        tuple(draw(st.lists(stage, min_size=1, max_size=4))),
        group_width=group_width,
        bottleneck_ratio=draw(st.sampled_from([0.5, 1.0, 2.0])),
        stem=draw(_stems),
    )


@st.composite
def densenets(draw: st.DrawFn) -> DenseNetSpec:
    """CIFAR and own-block DenseNets of every kind."""
    bottleneck = draw(st.booleans())
    fields: dict[str, Any] = {
        "growth_rate": draw(st.integers(4, 12)),
        "bottleneck": bottleneck,
        "compression": draw(st.sampled_from([0.25, 0.5, 0.7, 1])),
        "dropout": draw(_dropout),
        "memory_efficient": draw(st.booleans()),
        "stem_channels": draw(st.integers(4, 20)),
    }
    if draw(st.booleans()):
        depth = (6 if bottleneck else 3) * draw(_n) + 4
        return DenseNetSpec.model_validate(fields | {"depth": depth})
    layers = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    stem = draw(_stems)
    return DenseNetSpec.from_layers(layers, stem=stem, **fields)


def members() -> st.SearchStrategy[FamilySpec]:
    """A random member of any family."""
    return st.one_of(resnets(), wide_resnets(), resnexts(), densenets())
