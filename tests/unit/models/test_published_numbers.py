"""Parameters and MACs against numbers that others published or counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archsearch.models.complexity import complexity
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import default_input, parse_name

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "data" / "paper_params.json").read_text(encoding="utf-8")
)["rows"]

# As printed in the papers' tables; rows that the reference file does not hold.
PRINTED = {
    "ResNet-44": "0.66M",  # arXiv:1512.03385, table 6
    "ResNet-1202": "19.4M",
    "preact-ResNet-164": "1.7M",  # arXiv:1605.07146, table 5
    "WRN-22-2-B(3,1,3)": "1.1M",  # table 2
    "WRN-40-2-B(1,3)": "1.3M",
    "WRN-40-2-B(3,1,1)": "1.3M",
    "WRN-40-2-l=3": "2.2M",  # table 3
    "WRN-40-2-l=4": "2.2M",
    "WRN-28-12": "52.5M",  # table 4
    "WRN-22-8": "17.2M",
    "WRN-16-10": "17.1M",
    "WRN-18-1-basic": "11.7M",  # table 7
    "WRN-18-1.5-basic": "25.9M",
    "WRN-18-2-basic": "45.6M",
    "WRN-18-3-basic": "101.8M",
    "WRN-34-1-basic": "21.8M",
    "WRN-34-1.5-basic": "48.6M",
    "WRN-34-2-basic": "86.0M",
    "ResNeXt-29-16x64d": "68.1M",  # arXiv:1611.05431, table 7
    "DenseNet-100-24": "27.2M",  # arXiv:1608.06993, table 2
    "DenseNet-BC-250-24": "15.3M",
}


def _id(row: dict[str, Any]) -> str:
    return f"{row['name']}@{row['in_channels']}x{row['image_size']}>{row['num_classes']}"


@pytest.mark.parametrize("row", REFERENCE, ids=_id)
def test_parameters_and_macs_equal_the_reference(row: dict[str, Any]) -> None:
    fields = {key: row[key] for key in ("in_channels", "image_size", "num_classes")}
    cost = complexity(parse_name(row["name"]), InputSpec(**fields))
    assert (cost.params, cost.macs) == (row["params"], row["macs"])


@pytest.mark.parametrize(("name", "printed"), PRINTED.items())
def test_parameters_agree_with_the_printed_figure(name: str, printed: str) -> None:
    millions = printed.removesuffix("M")
    unit = 10.0 ** -len(millions.partition(".")[2])  # some papers truncate, some round
    cost = complexity(parse_name(name), default_input(name))
    assert abs(cost.params / 1e6 - float(millions)) < unit


def test_projections_add_what_the_papers_say() -> None:
    cifar = default_input("ResNet-20")
    with_pads = complexity(parse_name("ResNet-20"), cifar).params
    assert complexity(parse_name("ResNet-20-B"), cifar).params - with_pads == 2_752


def test_cifar_form_of_the_four_stage_resnet() -> None:
    # The widely used "ResNet-18 for CIFAR": 3×3 stem of 64 channels, four stages.
    name = "ResNet-18-(2x64,2x128,2x256,2x512)-cifar"
    cifar = default_input(name)
    assert complexity(parse_name(name), cifar).params == 11_173_962
    assert complexity(parse_name(f"preact-{name}"), cifar).params == 11_172_170
