"""Bad specs are refused when they are made, with the rule in the sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from archsearch.models import DenseNetSpec, FamilySpec, ResNetSpec, ResNeXtSpec, WideResNetSpec
from archsearch.models.resnext import ResNeXtStage
from archsearch.models.spec import check_depth, plain_number, sentences

REFUSED: list[tuple[type[FamilySpec], dict[str, Any], str]] = [
    (ResNetSpec, {"depth": 21}, r"`depth = 6n \+ 2` must hold .* got depth=21; nearest: 20, 26"),
    (ResNetSpec, {"depth": 2}, r"nearest: 8"),
    (ResNetSpec, {"depth": 18}, r"6n \+ 2.*or stem='imagenet'"),
    (ResNetSpec, {"depth": 32, "block": "bottleneck"}, r"`depth = 9n \+ 2`.*nearest: 29, 38"),
    (ResNetSpec, {"depth": 56, "stem": "imagenet"}, r"one of 18, 34, 50, 101, 152, 200"),
    (
        ResNetSpec,
        {"depth": 18, "stem": "imagenet", "block": "bottleneck"},
        r"`block='basic'` must hold",
    ),
    (ResNetSpec, {"depth": 20, "block": "wide"}, r"block: "),
    (ResNetSpec, {"depth": 6, "stages": ((1, 8),)}, r"`depth = 4` must hold"),
    (ResNetSpec, {"depth": 2, "stages": ()}, r"must be pairs"),
    (ResNetSpec, {"depth": 2, "stages": ((0, 8),)}, r"number of blocks >= 1"),
    (
        ResNetSpec,
        {"depth": 8, "stages": ((1, 16), (1, 32), (1, 64))},
        r"left out where they are the paper's",
    ),
    (
        ResNetSpec,
        {"depth": 6, "stages": ((1, 16), (1, 8)), "shortcut": "A"},
        r"must not shrink under option A",
    ),
    (ResNetSpec, {"depth": float("nan")}, r"depth: "),
    (ResNetSpec, {"depht": 20, "depth": 20}, r"depht: "),
    (
        WideResNetSpec,
        {"depth": 17, "widen_factor": 2},
        r"`depth = 6n \+ 4` must hold for WRN with blocks B\(3,3\), but got depth=17; "
        r"nearest: 16, 22",
    ),
    (
        WideResNetSpec,
        {"depth": 41, "widen_factor": 2, "block": "B(1,3,1)"},
        r"6n \+ 4.*B\(1,3,1\).*nearest: 40, 46",
    ),
    (
        WideResNetSpec,
        {"depth": 39, "widen_factor": 2, "deepening_factor": 3},
        r"`depth = 9n \+ 4` .* l=3.*nearest: 31, 40",
    ),
    (WideResNetSpec, {"depth": 50, "widen_factor": 2}, r"or block='bottleneck'"),
    (
        WideResNetSpec,
        {"depth": 28, "widen_factor": 2, "block": "B(3,1)", "deepening_factor": 3},
        r"`block = B\(3,3\)` must hold for a deepening_factor other than 2",
    ),
    (
        WideResNetSpec,
        {"depth": 28, "widen_factor": 2, "deepening_factor": 1, "dropout": 0.3},
        r"`dropout = 0` must hold for blocks of one convolution",
    ),
    (WideResNetSpec, {"depth": 28, "widen_factor": 0}, r"widen_factor: "),
    (WideResNetSpec, {"depth": 28, "widen_factor": 1.03}, r"must be a whole number"),
    (WideResNetSpec, {"depth": 28, "widen_factor": 1, "dropout": 1.0}, r"dropout: "),
    (WideResNetSpec, {"depth": 28, "widen_factor": 1, "block": "B(5,5)"}, r"block: "),
    (
        WideResNetSpec,
        {"depth": 28, "widen_factor": 2, "block": "bottleneck"},
        r"one of 50, 101, 152, 200 for an ImageNet WRN of bottleneck blocks",
    ),
    (
        WideResNetSpec,
        {"depth": 50, "widen_factor": 2, "block": "bottleneck", "dropout": 0.3},
        r"must hold for ImageNet blocks",
    ),
    (
        ResNeXtSpec,
        {"depth": 28, "cardinality": 8, "bottleneck_width": 64},
        r"`depth = 9n \+ 2` must hold for a CIFAR ResNeXt.*nearest: 20, 29",
    ),
    (
        ResNeXtSpec,
        {"depth": 29, "cardinality": 8, "bottleneck_width": 64, "stem": "imagenet"},
        r"one of 50, 101, 152, 200",
    ),
    (ResNeXtSpec, {"depth": 29, "cardinality": 0, "bottleneck_width": 64}, r"cardinality: "),
    (ResNeXtSpec, {"depth": 29}, r"cardinality: .*; bottleneck_width: "),
    (
        ResNeXtSpec,
        {
            "depth": 5,
            "cardinality": 3,
            "bottleneck_width": 4,
            "stages": (ResNeXtStage(1, 8, 2, 4),),
        },
        r"use ResNeXtSpec.from_stages",
    ),
    (
        ResNeXtSpec,
        {"depth": 5, "cardinality": 3, "bottleneck_width": 4, "stages": ()},
        r"at least one stage",
    ),
    (
        DenseNetSpec,
        {"depth": 41, "growth_rate": 12, "bottleneck": False},
        r"`depth = 3n \+ 4` must hold .*not BC.*nearest: 40, 43",
    ),
    (DenseNetSpec, {"depth": 101, "growth_rate": 12}, r"`depth = 6n \+ 4` .*nearest: 100, 106"),
    (DenseNetSpec, {"depth": 121, "growth_rate": 32}, r"or stem='imagenet'"),
    (DenseNetSpec, {"depth": 100, "growth_rate": 12, "compression": 0.0}, r"compression: "),
    (
        DenseNetSpec,
        {"depth": 100, "growth_rate": 12, "compression": 1.5},
        r"compression: ",
    ),
    (DenseNetSpec, {"depth": 10, "growth_rate": 1, "compression": 0.1}, r"at least one channel"),
    (
        DenseNetSpec,
        {"depth": 122, "growth_rate": 32, "stem": "imagenet"},
        r"one of 121, 161, 169, 201, 264",
    ),
    (
        DenseNetSpec,
        {"depth": 121, "growth_rate": 32, "stem": "imagenet", "bottleneck": False},
        r"`bottleneck = True` must hold",
    ),
    (DenseNetSpec, {"depth": 9, "growth_rate": 4, "layers_per_block": (2, 2)}, r"`depth = 11`"),
    (DenseNetSpec, {"depth": 9, "growth_rate": 4, "layers_per_block": ()}, r"numbers >= 1"),
    (
        DenseNetSpec,
        {"depth": 10, "growth_rate": 4, "layers_per_block": (1, 1, 1)},
        r"left out where they are the paper's",
    ),
]


@pytest.mark.parametrize(("family", "fields", "rule"), REFUSED)
def test_bad_spec_is_refused_with_its_rule(
    family: type[FamilySpec], fields: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        family.model_validate(fields)
    text = sentences(caught.value)
    assert re.search(rule, text), text


def test_several_mistakes_are_told_together_and_once() -> None:
    with pytest.raises(ValidationError) as caught:
        ResNetSpec.model_validate({"depth": "deep", "activation_order": "both"})
    text = sentences(caught.value)
    assert "depth: " in text
    assert "activation_order: " in text
    assert "default" not in text


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ResNetSpec(depth=20), ("basic", "A")),
        (ResNetSpec(depth=164), ("bottleneck", "B")),
        (ResNetSpec(depth=1001), ("bottleneck", "B")),
        (ResNetSpec(depth=34, stem="imagenet"), ("basic", "B")),
        (ResNetSpec(depth=50), ("basic", "A")),
        (ResNetSpec(depth=50, stem="imagenet"), ("bottleneck", "B")),
    ],
)
def test_resnet_defaults_are_the_papers(spec: ResNetSpec, expected: tuple[str, str]) -> None:
    assert (spec.block, spec.shortcut) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (DenseNetSpec(depth=40, growth_rate=12, bottleneck=False), (1, 16)),
        (DenseNetSpec(depth=100, growth_rate=12), (0.5, 24)),
        (DenseNetSpec(depth=100, growth_rate=12, compression=1), (1, 16)),
        (DenseNetSpec(depth=121, growth_rate=32, stem="imagenet"), (0.5, 64)),
    ],
)
def test_densenet_defaults_are_the_papers(spec: DenseNetSpec, expected: tuple[float, int]) -> None:
    assert (spec.compression, spec.stem_channels) == expected


def test_a_whole_factor_is_written_one_way() -> None:
    assert WideResNetSpec(depth=28, widen_factor=10.0) == WideResNetSpec(depth=28, widen_factor=10)
    assert '"widen_factor":10,' in WideResNetSpec(depth=28, widen_factor=10.0).model_dump_json()
    assert [plain_number(value) for value in (2, 0.3, 1e-5, 1.5, 10.0)] == [
        *("2", "0.3", "0.00001", "1.5", "10"),
    ]


def test_check_depth_walks_from_too_small_to_the_smallest_and_the_next() -> None:
    for bad in (-1, 2, 7, 9, 13):
        with pytest.raises(ValueError, match="must hold"):
            check_depth(bad, 6, 2, "a test")
    assert [check_depth(depth, 6, 2, "a test") for depth in (8, 14)] == [1, 2]
