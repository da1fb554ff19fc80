"""What every member of every family keeps."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it
from torch.utils.flop_counter import FlopCounterMode

from archsearch.models import (
    FAMILIES,
    ArchitectureError,
    ArchitectureSpec,
    DenseNetSpec,
    FamilySpec,
    TorchvisionSpec,
    build_model,
)
from archsearch.models.blocks import ResidualBlock
from archsearch.models.complexity import complexity, layer_table
from archsearch.models.plan import Shortcut
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name
from tests.members import SMALL_NAMES, members, small_input, small_members

every_member = pytest.mark.parametrize("spec", small_members(), ids=SMALL_NAMES)


def _images(input_spec: InputSpec, count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (count, input_spec.in_channels, input_spec.image_size, input_spec.image_size)
    return torch.randn(size, generator=generator)


@every_member
def test_logits_have_one_row_an_image_and_every_parameter_gets_a_gradient(
    spec: FamilySpec,
) -> None:
    input_spec = small_input(spec)
    torch.manual_seed(0)
    network = build_model(spec, input_spec).train()
    # Enough images that no unit of the narrowest layers is off for all of them.
    logits = network(_images(input_spec, 16))
    assert logits.shape == (16, input_spec.num_classes)
    assert torch.isfinite(logits).all()
    F.cross_entropy(logits, torch.arange(16) % input_spec.num_classes).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@every_member
def test_same_seed_same_weights(spec: FamilySpec) -> None:
    input_spec = small_input(spec)
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(build_model(spec, input_spec).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


@every_member
def test_evaluation_does_not_depend_on_the_batch(spec: FamilySpec) -> None:
    input_spec = small_input(spec)
    network = build_model(spec, input_spec).eval()
    images = _images(input_spec)
    with torch.no_grad():
        together, alone = network(images), network(images[:1])
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


@every_member
def test_convolutions_have_no_bias_and_he_variance(spec: FamilySpec) -> None:
    torch.manual_seed(0)
    network = build_model(spec, small_input(spec))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            assert module.bias is None
            expected = (2 / (module.out_channels * module.kernel_size[0] ** 2)) ** 0.5
            # Five standard errors of a standard deviation estimated from n normal weights.
            tolerance = 5 * expected / (2 * module.weight.numel()) ** 0.5
            assert (
                abs(float(module.weight.detach().std(correction=0)) - expected) < tolerance + 1e-3
            )
        if isinstance(module, nn.Linear):
            assert not module.bias.any()


@settings(max_examples=60)
@given(spec=members())
def test_only_the_first_block_of_a_stage_strides_widens_and_projects(spec: FamilySpec) -> None:
    if isinstance(spec, DenseNetSpec | TorchvisionSpec):
        return  # a DenseNet has no shortcuts; torchvision's networks are members of the others
    everywhere = spec.family == "resnet" and spec.shortcut == "C"
    for index, stage in enumerate(spec.plan().stages):
        first, rest = stage[0], stage[1:]
        assert first.stride == (1 if index == 0 else 2)
        changes = first.stride != 1 or first.in_channels != first.out_channels
        assert (first.shortcut is not Shortcut.IDENTITY) == (changes or everywhere)
        for block in rest:
            assert block.stride == 1
            assert block.in_channels == block.out_channels == first.out_channels
            assert (block.shortcut is Shortcut.IDENTITY) != everywhere


@settings(max_examples=40)
@given(spec=members())
def test_predicted_costs_are_those_of_the_built_module(spec: FamilySpec) -> None:
    input_spec = small_input(spec)
    cost = complexity(spec, input_spec)
    network = build_model(spec, input_spec).eval()
    assert cost.params == sum(p.numel() for p in network.parameters() if p.requires_grad)
    outputs: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda _m, _i, out: outputs.append(out.numel()))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(_images(input_spec, 1))
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.activations == sum(outputs)
    rows = layer_table(spec, input_spec)
    assert sum(row.params for row in rows) == cost.params
    assert sum(row.macs for row in rows) == cost.macs


@settings(max_examples=300)
@given(spec=members(), other=members())
def test_names_read_back_and_no_two_specs_share_one(spec: FamilySpec, other: FamilySpec) -> None:
    assert parse_name(spec.name) == spec
    assert parse_name(spec.name.upper().replace("-", " ")) == spec
    assert (spec.name == other.name) == (spec == other)


@settings(max_examples=100)
@given(spec=members())
def test_specs_are_frozen_hashable_and_survive_json_and_pickle(spec: FamilySpec) -> None:
    adapter: TypeAdapter[FamilySpec] = TypeAdapter(ArchitectureSpec)
    assert adapter.validate_json(adapter.dump_json(spec)) == spec
    assert adapter.validate_python(spec.model_dump(mode="json")) == spec
    assert hash(pickle.loads(pickle.dumps(spec))) == hash(spec)
    assert type(spec) is FAMILIES[spec.family]
    with pytest.raises(ValidationError) as caught:
        setattr(spec, "depth", 1)  # noqa: B010  # a plain assignment is refused by mypy already
    assert [found["type"] for found in caught.value.errors()] == ["frozen_instance"]


@every_member
def test_images_smaller_than_the_stride_are_refused(spec: FamilySpec) -> None:
    smallest = InputSpec(in_channels=1, image_size=spec.total_stride, num_classes=2)
    network = build_model(spec, smallest).eval()
    with torch.no_grad():
        assert network(_images(smallest)).shape == (4, 2)
    if spec.total_stride > 1:
        too_small = smallest.model_copy(update={"image_size": spec.total_stride - 1})
        for refuse in (build_model, complexity):
            with pytest.raises(ArchitectureError, match=f"image_size >= {spec.total_stride}"):
                refuse(spec, too_small)


def test_stages_of_blocks_are_what_the_plan_says() -> None:
    spec = parse_name("ResNet-14")
    network = build_model(spec, small_input(spec))
    built: Any = network.stages
    assert [[type(block) for block in stage] for stage in built] == [[ResidualBlock] * 2] * 3


@every_member
def test_first_channel_count_only_changes_the_stem(spec: FamilySpec) -> None:
    one = small_input(spec).model_copy(update={"in_channels": 1})
    three = one.model_copy(update={"in_channels": 3})
    kernel = 7 if spec.is_imagenet else 3
    saved = 2 * kernel**2 * spec.plan().stem.channels
    assert complexity(spec, three).params - complexity(spec, one).params == saved
