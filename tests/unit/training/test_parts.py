"""Schedule, averages, optimizer, batches, precision, randomness and prediction."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archsearch.data import PreparedData, Split, load_resident
from archsearch.models import WideResNetSpec, build_model
from archsearch.schema import InputSpec
from archsearch.spaces.recipe import Recipe
from archsearch.training import precision
from archsearch.training.averaging import WeightAverage, decay_at
from archsearch.training.batches import TrainingBatches
from archsearch.training.predict import predict
from archsearch.training.randomness import LentRandomness, derived_seed
from archsearch.training.schedule import learning_rate_at, steps_per_epoch
from archsearch.training.sgd import FusedSgd
from archsearch.training.stepper import Stepper

INPUT = InputSpec(in_channels=1, image_size=8, num_classes=10)


def network() -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = build_model(WideResNetSpec(depth=10, widen_factor=1), INPUT)
    return model.to(memory_format=torch.channels_last)


def batch(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 1, 8, 8), torch.randint(0, 10, (count,))


# schedule


@given(st.integers(1, 2000), st.floats(0, 0.9), st.floats(1e-4, 1))
def test_the_rate_rises_to_its_peak_and_falls_from_there(
    total: int, warmup: float, peak: float
) -> None:
    recipe = Recipe(learning_rate=peak, warmup_fraction=warmup)
    rates = [learning_rate_at(step, total, recipe) for step in range(total)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(peak)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 < rate <= peak for rate in rates)


def test_the_cosine_is_halfway_in_the_middle_and_almost_zero_at_the_end() -> None:
    recipe = Recipe(learning_rate=0.2, warmup_fraction=0.1)
    assert learning_rate_at(9, 100, recipe) == pytest.approx(0.2)
    assert learning_rate_at(55, 100, recipe) == pytest.approx(0.1)
    assert learning_rate_at(99, 100, recipe) < 1e-4


@pytest.mark.parametrize("step", [-1, 10])
def test_steps_outside_the_training_are_refused(step: int) -> None:
    with pytest.raises(ValueError, match="`0 <= step < total_steps`"):
        learning_rate_at(step, 10, Recipe())


@pytest.mark.parametrize(("images", "size", "steps"), [(100, 32, 3), (96, 32, 3), (5, 64, 1)])
def test_steps_are_full_batches_and_at_least_one(images: int, size: int, steps: int) -> None:
    assert steps_per_epoch(images, size) == steps


# averages


def test_the_average_is_the_formulas_statistics_included() -> None:
    model = network()
    average = WeightAverage(model)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for step in range(3):
        for tensor in model.state_dict().values():
            tensor.add_(1)
        average.update(step)
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                kept = (1 + step) / (10 + step)
                expected[name] = kept * expected[name] + (1 - kept) * tensor
    state = average.model.state_dict()
    assert any(name.endswith("running_var") for name in state)
    for name, tensor in expected.items():
        torch.testing.assert_close(state[name], tensor)


def test_decay_grows_from_a_tenth_to_its_limit() -> None:
    decays = [decay_at(step) for step in range(300)]
    assert decays[0] == 0.1
    assert decays == sorted(decays)
    assert decays.index(0.96) == 215


# optimizer


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_updates_are_those_of_torch_to_the_last_bit(momentum: float) -> None:
    recipe = Recipe(momentum=momentum, weight_decay=0.01)
    ours, theirs = network(), network()
    optimizer = FusedSgd(ours, recipe)
    reference = torch.optim.SGD(
        theirs.parameters(),
        lr=1.0,
        momentum=momentum,
        weight_decay=0.01,
        nesterov=momentum > 0,
        fused=True,
    )
    for rate in (0.1, 0.05, 0.01):
        images, labels = batch()
        for model in (ours, theirs):
            nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step(rate)
        optimizer.forget_gradients()
        reference.param_groups[0]["lr"] = rate
        reference.step()
        reference.zero_grad()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.grad is None


def test_commands_that_only_read_do_so_without_torch() -> None:
    """Torch takes seconds to import, and half a gigabyte."""
    script = (
        "import sys\n"
        "import archsearch.training.checkpoint_file, archsearch.training.schedule\n"
        "import archsearch.halving.rung_table, archsearch.halving.arms\n"
        "import archsearch.record.status, archsearch.record.trained\n"
        "import archsearch.report.write, archsearch.tracking.sender\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# steps


def test_uneven_micro_batches_weigh_every_image_the_same() -> None:
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    cut = copy.deepcopy(whole)
    images, labels = batch(7)
    for model, micro_batch in ((whole, 7), (cut, 3)):
        stepper = Stepper(
            model,
            Recipe(),
            total_steps=5,
            precision="float32",
            batch_size=7,
            micro_batch=micro_batch,
        )
        loss, right = stepper.step(images, labels)
        assert loss.item() == pytest.approx(2.3, abs=0.5)
        assert 0 <= right.item() <= 7
    for one, two in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_a_batchnorm_network_is_never_fed_single_images() -> None:
    """They normalise themselves away: accuracy stays at chance."""
    for batch_size, micro_batch in ((8, 1), (5, 2)):
        with pytest.raises(ValueError, match="single images"):
            Stepper(
                network(),
                Recipe(),
                total_steps=1,
                precision="float32",
                batch_size=batch_size,
                micro_batch=micro_batch,
            )


def test_a_weight_that_is_not_finite_is_named() -> None:
    stepper = Stepper(network(), Recipe(), total_steps=1, precision="float32", batch_size=8)
    assert stepper.what_is_not_finite() is None
    name, parameter = list(stepper.model.named_parameters())[-1]
    with torch.no_grad():
        parameter[0] = float("nan")
    assert stepper.what_is_not_finite() == f"{name} is not finite"


# batches


def test_an_epoch_takes_each_image_at_most_once_and_another_order_each_time(
    few_digits: PreparedData,
) -> None:
    numbered = Split(load_resident(few_digits).train.images, torch.arange(70))
    batches = TrainingBatches(numbered, few_digits, Recipe(batch_size=32), seed=0)
    epochs = [torch.cat([labels for _, labels in batches.epoch()]) for _ in range(2)]
    assert all(len(each) == len(each.unique()) == 64 for each in epochs)
    assert not torch.equal(*epochs)


def test_batches_are_normalised_and_channels_last(few_digits: PreparedData) -> None:
    split = load_resident(few_digits).train
    recipe = Recipe(batch_size=32, augmentation=0)
    for images, labels in TrainingBatches(split, few_digits, recipe, seed=0).epoch():
        assert images.shape == (32, 1, 8, 8)
        assert labels.shape == (32,)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert abs(images.mean().item()) < 0.2
        assert images.std().item() == pytest.approx(1, abs=0.2)


def test_batches_continue_from_their_random_state(few_digits: PreparedData) -> None:
    split = load_resident(few_digits).train
    one, two = (TrainingBatches(split, few_digits, Recipe(), seed=seed) for seed in (0, 1))
    list(one.epoch())
    two.set_random_state(one.random_state())
    pairs = zip(one.epoch(), two.epoch(), strict=True)
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in pairs)


# precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({"avx2"}, "float32"), ({"avx512_bf16"}, "bfloat16"), ({"amx_bf16", "avx2"}, "bfloat16")],
)
def test_bfloat16_is_taken_where_the_processor_has_it(
    flags: set[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_processor_flags", lambda: frozenset(flags))
    assert precision.native_precision(torch.device("cpu")) == expected
    assert precision.native_precision(torch.device("meta")) == "float32"


def test_the_processors_flags_are_told_with_and_without_torchs_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    precision._processor_flags.cache_clear()
    told = precision._processor_flags()
    assert told
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    precision._processor_flags.cache_clear()
    read = precision._processor_flags()
    precision._processor_flags.cache_clear()
    assert told & {"avx512_bf16", "amx_bf16"} == read & {"avx512_bf16", "amx_bf16"}


# randomness


def test_torchs_generator_is_lent_and_given_back() -> None:
    lent = LentRandomness(5, torch.device("cpu"))
    outer = torch.get_rng_state()
    with lent.lent():
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), outer)
    torch.rand(9)
    with lent.lent():
        second = torch.rand(3)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(torch.cat([first, second]), torch.rand(6, generator=generator))


@given(st.integers(0, 2**63 - 1))
def test_seeds_of_two_purposes_differ(seed: int) -> None:
    assert derived_seed(seed, "one") != derived_seed(seed, "two")
    assert 0 <= derived_seed(seed, "one") < 2**63


# prediction


def test_answers_are_in_order_whatever_the_batch_and_the_mode_is_kept(
    few_digits: PreparedData,
) -> None:
    val = load_resident(few_digits).val
    model = network().train()
    mean, std = few_digits.mean, few_digits.std
    one = predict(model, val, mean=mean, std=std)
    two = predict(model, val, mean=mean, std=std, batch_size=100)
    assert one.shape == (few_digits.num_val, 10)
    assert one.dtype == torch.float32
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    assert model.training
