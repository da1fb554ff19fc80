"""Training on from given weights: what is frozen stays, the head has its own rate, all resumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models._api import get_model

from archsearch.data import DataSpec, PreparedData, load_resident, prepare
from archsearch.models import TorchvisionSpec, WideResNetSpec, build_model
from archsearch.models.network import CLASSIFIER
from archsearch.schema import InputSpec
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.averaging import WeightAverage
from archsearch.training.footprint import training_memory
from archsearch.training.loop import Training
from archsearch.training.sgd import FusedSgd
from archsearch.training.state import load_averaged_model
from archsearch.training.stepper import Stepper

INPUT = InputSpec(in_channels=1, image_size=32, num_classes=10)


@pytest.fixture(scope="module")
def large_digits(cache_dir: Path) -> PreparedData:
    """40 digits, enlarged to what torchvision's networks can take."""
    return prepare(DataSpec(name="digits", train_size=40, image_size=32), cache_dir=cache_dir)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Random weights of torchvision's ResNet-18 in a file, and a cache for them."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder))
        torch.manual_seed(0)
        torch.save(get_model("resnet18", weights=None).state_dict(), folder / "r18.pth")
        yield TorchvisionSpec(network="resnet18", weights=str(folder / "r18.pth")).weights


def start(data: PreparedData, weights: str, max_epochs: int = 2, **fields: Any) -> Training:
    recipe = {name: fields.pop(name) for name in list(fields) if name in Recipe.model_fields}
    config = TrialConfig(
        architecture=TorchvisionSpec(network="resnet18", weights=weights, **fields),
        recipe=Recipe(**({"batch_size": 16, "learning_rate": 0.01} | recipe)),
        input=data.input_spec,
        max_epochs=max_epochs,
        seed=5,
    )
    return Training(config, data, load_resident(data), precision="float32")


def state_of(training: Training) -> dict[str, torch.Tensor]:
    state = training._stepper.model.state_dict()
    return {name: tensor.clone() for name, tensor in state.items()}


def part_of(name: str) -> str:
    return ".".join(name.split(".")[: 2 if name.startswith("stages") else 1])


@pytest.mark.parametrize("frozen", [0, 2, 4])
def test_frozen_weights_and_statistics_stay_and_all_others_move(
    large_digits: PreparedData, weights: str, frozen: int
) -> None:
    training = start(large_digits, weights, frozen_stages=frozen, max_epochs=1)
    before = state_of(training)
    list(training.epochs())
    after, average = state_of(training), training.averaged_model.state_dict()
    still = {"stem", *(f"stages.{i}" for i in range(frozen))} if frozen else set()
    for name, tensor in before.items():
        stays = part_of(name) in still
        assert torch.equal(tensor, after[name]) == stays, name
        if stays:
            assert torch.equal(tensor, average[name])
        elif tensor.is_floating_point():
            assert not torch.equal(after[name], average[name])


def test_three_and_three_epochs_equal_six_bit_for_bit(
    large_digits: PreparedData, weights: str
) -> None:
    def begin() -> Training:
        head = {"head": "mlp", "hidden_features": 32, "dropout": 0.5}
        rates = {"head_learning_rate_factor": 10.0}
        return start(large_digits, weights, 6, frozen_stages=3, **head, **rates)

    times = {"train_seconds", "val_seconds"}
    one = begin()
    whole = [each.model_dump(exclude=times) for each in one.epochs()]
    first = begin()
    halves = [each for _, each in zip(range(3), first.epochs(), strict=False)]
    second = begin()
    second.load_state_bytes(first.state_bytes())
    halves += second.epochs()
    assert [each.model_dump(exclude=times) for each in halves] == whole
    assert len({each["train_loss"] for each in whole}) == 6
    final = state_of(second)
    assert all(torch.equal(tensor, final[name]) for name, tensor in state_of(one).items())


def test_what_is_frozen_is_neither_averaged_nor_stored_twice(
    large_digits: PreparedData, weights: str
) -> None:
    training = start(large_digits, weights, frozen_stages=4)
    model, average = training._stepper.model, training.averaged_model
    names = [name for name, tensor in model.state_dict().items()]
    shared = {
        name
        for name in names
        if model.state_dict()[name].data_ptr() == average.state_dict()[name].data_ptr()
    }
    assert shared == {name for name in names if not name.startswith(CLASSIFIER)}
    payload = training.state_bytes()
    num_bytes = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    assert num_bytes < len(payload) < 1.1 * num_bytes  # a whole training's is three times as much
    memory = training_memory(training.config.architecture, INPUT, batch_size=16)
    assert memory.momentum == memory.average == 4 * (512 * 10 + 10)


def test_a_checkpoint_needs_no_file_of_weights(
    large_digits: PreparedData, weights: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    training = start(large_digits, weights, frozen_stages=2)
    next(training.epochs())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = load_averaged_model(training.config, training.state_bytes())
    for name, tensor in training.averaged_model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_frozen_batchnorm_takes_single_images() -> None:
    """It normalises by its own statistics; BatchNorm that learns would take away the image."""
    network = build_model(WideResNetSpec(depth=10, widen_factor=1), INPUT)
    settings: Any = {"total_steps": 1, "precision": "float32", "batch_size": 8, "micro_batch": 1}
    with pytest.raises(ValueError, match="single images"):
        Stepper(network, Recipe(), **settings)
    network.freeze(3)
    stepper = Stepper(network.train(), Recipe(), **settings)
    stepper.step(torch.randn(8, 1, 32, 32), torch.arange(8))
    assert stepper.micro_batch == 1


# two learning rates


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_two_rates_are_those_of_torch_to_the_last_bit(factor: float) -> None:
    recipe = Recipe(weight_decay=0.01, head_learning_rate_factor=factor)
    torch.manual_seed(0)
    ours: nn.Module = build_model(WideResNetSpec(depth=10, widen_factor=1), INPUT)
    theirs: nn.Module = build_model(WideResNetSpec(depth=10, widen_factor=1), INPUT)
    theirs.load_state_dict(ours.state_dict())
    named = dict(theirs.named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if not n.startswith(CLASSIFIER)], "scale": 1.0},
        {"params": [p for n, p in named.items() if n.startswith(CLASSIFIER)], "scale": factor},
    ]
    assert len(groups[1]["params"]) == 2  # type: ignore[arg-type]
    optimizer = FusedSgd(ours, recipe)
    reference = torch.optim.SGD(
        groups, lr=1.0, momentum=0.9, weight_decay=0.01, nesterov=True, fused=True
    )
    for rate in (0.1, 0.05, 0.01):
        images, labels = torch.randn(8, 1, 32, 32), torch.arange(8)
        for model in (ours, theirs):
            nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step(rate)
        optimizer.forget_gradients()
        for group in reference.param_groups:
            group["lr"] = rate * group["scale"]
        reference.step()
        reference.zero_grad()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_factor_moves_the_head_alone_by_that_factor(
    large_digits: PreparedData, weights: str
) -> None:
    """In one step of plain gradient descent."""
    one_step = {"momentum": 0.0, "weight_decay": 0.0, "batch_size": 40, "warmup_fraction": 0.0}
    moves = []
    for factor in (1.0, 4.0):
        recipe: dict[str, Any] = one_step | {"head_learning_rate_factor": factor}
        training = start(large_digits, weights, max_epochs=1, **recipe)
        before = state_of(training)
        list(training.epochs())
        after = state_of(training)
        moves.append({name: after[name] - before[name] for name in before})
    for name, move in moves[0].items():
        scale = 4 if name.startswith(CLASSIFIER) else 1
        torch.testing.assert_close(moves[1][name], scale * move, rtol=1e-3, atol=1e-6)


def test_the_average_of_a_network_without_frozen_parts_shares_nothing() -> None:
    network = build_model(WideResNetSpec(depth=10, widen_factor=1), INPUT)
    average = WeightAverage(network).model.state_dict()
    assert all(t.data_ptr() != average[n].data_ptr() for n, t in network.state_dict().items())
