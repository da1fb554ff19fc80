from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from archsearch.data import DataSpec, PreparedData, load_resident, prepare
from archsearch.models import DenseNetSpec, WideResNetSpec, build_model
from archsearch.models.network import Network
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.batches import TrainingBatches
from archsearch.training.distributed import LostRankError, Ranks, with_synchronised_norms
from archsearch.training.footprint import smallest_micro_batch_of, training_memory
from archsearch.training.schedule import learning_rate_at
from archsearch.training.state import load_averaged_model, unpack
from tests.data_parallel_support import RankPool, Trained, Work, train


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankPool]:
    with RankPool(tmp_path_factory.mktemp("group") / "store") as pool:
        yield pool


def config(prepared: PreparedData, *, dropout: float = 0.0, **recipe: Any) -> TrialConfig:
    """Batches of 33 cannot be shared equally: 17 and 16."""
    quiet = {"batch_size": 33, "augmentation": 0.0, "learning_rate": 0.02}
    return TrialConfig(
        architecture=WideResNetSpec(depth=10, widen_factor=1, dropout=dropout),
        recipe=Recipe(**quiet | recipe),
        input=prepared.input_spec,
        max_epochs=3,
        seed=5,
    )


def networks(trained: Trained) -> dict[str, torch.Tensor]:
    """Weights, averages and velocities, by name."""
    assert trained.payload is not None, trained.error
    state = unpack(trained.payload).stepper
    return {
        f"{part}.{name}": tensor
        for part in ("model", "average", "optimizer")
        for name, tensor in state[part].items()
    }


def assert_close(one: Trained, other: Trained, tolerance: float = 1e-5) -> None:
    mine, others = networks(one), networks(other)
    assert mine.keys() == others.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, others[name], rtol=0, atol=tolerance, msg=name)
    for a, b in zip(one.results, other.results, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, abs=tolerance)
        assert a.val_loss == pytest.approx(b.val_loss, abs=tolerance)
        assert (a.images, a.train_accuracy, a.val_accuracy) == (
            b.images,
            b.train_accuracy,
            b.val_accuracy,
        )


def numbers(trained: Trained) -> list[dict[str, object]]:
    times = {"train_seconds", "val_seconds"}
    return [result.model_dump(exclude=times) for result in trained.results]


def test_two_workers_train_what_one_does(few_digits: PreparedData, pair: RankPool) -> None:
    """Images, order, mean gradients and validation are the same; only sums are added otherwise."""
    work = Work(config(few_digits), few_digits, norms_evaluate=True)
    first, second = pair.run(train, work)
    alone = train(work)
    assert_close(first, alone)
    assert numbers(first) == numbers(second)
    assert [result.workers for result in first.results] == [2, 2, 2]
    for name, tensor in networks(first).items():
        assert torch.equal(tensor, networks(second)[name]), f"{name} differs between workers"


def test_batchnorm_normalises_by_the_share_of_each_worker(
    few_digits: PreparedData, pair: RankPool
) -> None:
    """The reference: one loop, torch's own optimizer, each share through the network by itself."""
    trial = config(few_digits)
    trained = pair.run(train, Work(trial, few_digits, epochs=2))[0]
    torch.manual_seed(trial.seed)
    model = build_model(trial.architecture, trial.input).to(memory_format=torch.channels_last)
    recipe, data = trial.recipe, load_resident(few_digits)
    batches = TrainingBatches(data.train, few_digits, recipe, trial.seed)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1.0, momentum=0.9, weight_decay=recipe.weight_decay, nesterov=True
    )
    statistics = [b for b in model.buffers() if b.is_floating_point()]
    total, step = 3 * batches.steps_per_epoch, 0
    for _ in range(2):
        for images, labels in batches.epoch():
            optimizer.zero_grad()
            before = [each.clone() for each in statistics]
            united = [torch.zeros_like(each) for each in statistics]
            for part, asked in zip(images.tensor_split(2), labels.tensor_split(2), strict=True):
                torch._foreach_copy_(statistics, before)
                share = len(part) / len(images)
                (functional.cross_entropy(model(part), asked) * share).backward()
                torch._foreach_add_(united, statistics, alpha=share)
            torch._foreach_copy_(statistics, united)
            optimizer.param_groups[0]["lr"] = learning_rate_at(step, total, recipe)
            optimizer.step()
            step += 1
    ours = networks(trained)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():  # the reference counts its shares as batches
            expected = ours[f"model.{name}"]
            torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-5, msg=name)


def test_a_checkpoint_is_the_same_however_many_workers_wrote_it(
    few_digits: PreparedData, pair: RankPool
) -> None:
    """No prefix of a wrapper: whoever reads checkpoints, exporters too, need not know."""
    trial = config(few_digits)
    shared, alone = (
        pair.run(train, Work(trial, few_digits, 1))[0],
        train(Work(trial, few_digits, 1)),
    )
    assert networks(shared).keys() == networks(alone).keys()
    assert shared.payload is not None
    assert not any("module" in name for name in networks(shared))
    load_averaged_model(trial, shared.payload)


def test_a_training_goes_on_with_one_worker_and_with_two_again(
    few_digits: PreparedData, pair: RankPool
) -> None:
    work = Work(config(few_digits), few_digits, norms_evaluate=True)
    through = train(work)
    step = replace(work, epochs=1)
    first = pair.run(train, step)[0]
    second = train(replace(step, payload=first.payload))
    third = pair.run(train, replace(step, payload=second.payload))[0]
    results = [*first.results, *second.results, *third.results]
    assert [result.workers for result in results] == [2, 1, 2]
    assert_close(Trained(results, third.payload, None), through)


def test_as_many_workers_continue_bit_for_bit(few_digits: PreparedData, pair: RankPool) -> None:
    """Augmentation and dropout of each worker included."""
    trial = config(few_digits, dropout=0.3, augmentation=0.8)
    through = pair.run(train, Work(trial, few_digits))
    start = pair.run(train, Work(trial, few_digits, 1))
    for rank, rest in enumerate(pair.run(train, Work(trial, few_digits, 2, start[0].payload))):
        assert numbers(start[rank]) + numbers(rest) == numbers(through[rank])
        assert rest.payload == through[rank].payload


def test_a_worker_that_joins_later_begins_a_stream_of_its_own(
    few_digits: PreparedData, pair: RankPool
) -> None:
    """It follows from seed, rank and epoch: the same each time, and not what was drawn before."""
    trial = config(few_digits, augmentation=0.8)
    alone = train(Work(trial, few_digits, 1))
    joined = [pair.run(train, Work(trial, few_digits, 1, alone.payload))[1] for _ in range(2)]
    assert joined[0].payload == joined[1].payload
    assert joined[0].payload is not None
    fresh = pair.run(train, Work(trial, few_digits, 1))[1]
    assert fresh.payload is not None
    name = "augmentation of process 1"
    mine, others = (unpack(p).generators[name] for p in (joined[0].payload, fresh.payload))
    assert not torch.equal(mine, others)


def test_workers_augment_their_own_parts_differently(
    few_digits: PreparedData, pair: RankPool
) -> None:
    strong = config(few_digits, augmentation=1.0, batch_size=70)
    plain = config(few_digits, batch_size=70)
    moved = [each.first_images for each in pair.run(train, Work(strong, few_digits, 1))]
    still = [each.first_images for each in pair.run(train, Work(plain, few_digits, 1))]
    whole = train(Work(plain, few_digits, 1)).first_images
    assert whole is not None
    assert torch.equal(torch.cat([each for each in still if each is not None]), whole)
    for rank in range(2):
        assert not torch.equal(moved[rank], still[rank])  # type: ignore[arg-type]


def test_nan_in_one_worker_ends_the_training_in_all(
    few_digits: PreparedData, pair: RankPool
) -> None:
    first, second = pair.run(train, Work(config(few_digits), few_digits, nan_in_last=True))
    assert len(first.results) == 1
    assert first.results[0].diverged
    assert "nan at step 1 of 2" in str(first.results[0].reason)
    assert second.results[0].reason == first.results[0].reason


def test_memory_that_runs_out_in_one_worker_halves_the_micro_batches_of_all(
    few_digits: PreparedData, pair: RankPool
) -> None:
    """Shares of 17 and 16 go through in two parts each; the gradient stays the mean of all 33."""
    work = Work(config(few_digits), few_digits, 2, norms_evaluate=True)
    cut = pair.run(train, Work(work.config, few_digits, 2, norms_evaluate=True, room=9))
    assert [[result.micro_batch for result in each.results] for each in cut] == [[9, 9]] * 2
    assert_close(cut[0], pair.run(train, work)[0])
    alone = train(Work(work.config, few_digits, 1, cut[0].payload))
    assert alone.results[0].micro_batch == 9  # it had to be cut, so it stays cut


@pytest.mark.parametrize("where", ["room", "room_to_answer"])
def test_memory_that_no_micro_batch_fits_ends_the_training_in_all(
    few_digits: PreparedData, pair: RankPool, where: str
) -> None:
    """A worker that gives up alone would be waited for."""
    work = Work(config(few_digits), few_digits, **{where: 0})  # type: ignore[arg-type]
    errors = [each.error for each in pair.run(train, work)]
    assert all(str(e).startswith("OutOfMemoryDuringTrainingError: out of memory") for e in errors)
    assert [each.error for each in pair.run(train, Work(work.config, few_digits, 1))] == [None] * 2


def test_every_validation_image_counts_once(few_digits: PreparedData, pair: RankPool) -> None:
    """Also where there are fewer images than workers: one of them answers nothing."""
    first, second = pair.run(train, Work(config(few_digits), few_digits, 1))
    accuracy = first.results[0].val_accuracy
    assert second.results[0].val_accuracy == accuracy
    assert accuracy * few_digits.num_val == pytest.approx(round(accuracy * few_digits.num_val))
    lone = replace(Work(config(few_digits), few_digits, 1, norms_evaluate=True), num_val=1)
    assert_close(pair.run(train, lone)[0], train(lone))
    parts = [Ranks(rank, 3).part_of(2) for rank in range(3)]
    assert parts == [slice(0, 1), slice(1, 2), slice(2, 2)]


def test_a_batch_that_cannot_be_shared_is_refused(
    few_digits: PreparedData, pair: RankPool
) -> None:
    errors = [
        each.error
        for each in pair.run(train, Work(config(few_digits, batch_size=3), few_digits, 1))
    ]
    assert all("a batch of 3 images cannot be shared by 2 workers" in str(e) for e in errors)


def _wait_or_die(last: int) -> str:
    """One process ends as by `kill -9`; the other waits for it in an exchange."""
    ranks = Ranks.of_default_group()
    ranks.any(False)
    if ranks.rank == last:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        ranks.any(False)
    except LostRankError as error:
        return str(error)
    return "nothing was noticed"


@pytest.mark.slow
def test_a_killed_worker_is_told_by_one_error(tmp_path: Path) -> None:
    with RankPool(tmp_path / "store") as pool:
        answers = pool.start(_wait_or_die, 1)
        started = time.monotonic()
        assert "a process of this training is gone" in answers[0].result(timeout=120)
        assert time.monotonic() - started < 60


def test_synchronised_norms_are_torchs_own_under_the_same_names(few_digits: PreparedData) -> None:
    """Structure only: `SyncBatchNorm` computes on GPUs and refuses the processor's tensors."""
    for spec in (WideResNetSpec(depth=10, widen_factor=1), DenseNetSpec(depth=10, growth_rate=4)):
        plain = build_model(spec, few_digits.input_spec)
        count = sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
        names = {name: tensor.shape for name, tensor in plain.state_dict().items()}
        synchronised = with_synchronised_norms(plain)
        kinds = [type(module) for module in synchronised.modules()]
        assert kinds.count(nn.SyncBatchNorm) == count > 0
        assert nn.BatchNorm2d not in kinds
        state = synchronised.state_dict()
        assert {name: tensor.shape for name, tensor in state.items()} == names
        build_model(spec, few_digits.input_spec).load_state_dict(state)


def test_frozen_norms_are_not_synchronised(few_digits: PreparedData) -> None:
    """They normalise by what they know, and exchange nothing."""
    network = build_model(WideResNetSpec(depth=10, widen_factor=1), few_digits.input_spec)
    assert isinstance(network, Network)
    network.freeze(1)
    with_synchronised_norms(network)
    kinds = [
        {type(m) for m in stage.modules() if "Norm" in type(m).__name__}
        for stage in network.stages
    ]
    assert kinds == [{nn.BatchNorm2d}, {nn.SyncBatchNorm}, {nn.SyncBatchNorm}]


def test_synchronised_norms_refuse_a_processor_and_end_what_runs_out_of_memory(
    few_digits: PreparedData, pair: RankPool
) -> None:
    """The others wait inside of a layer then, where nothing can be said to them."""
    work = Work(config(few_digits), few_digits, 1, room=9, synchronise_norms=True)
    first, second = (str(each.error) for each in pair.run(train, work))
    assert first.startswith("ValueError: ")  # torch says that it needs a GPU
    assert second.startswith("OutOfMemoryDuringTrainingError: out of memory at step 1")
    assert "synchronised BatchNorm" in second


def test_the_linear_rule_scales_batch_and_learning_rate(few_digits: PreparedData) -> None:
    """The recipe stays what the sampler proposed; the digest tells a scaled trial from another."""
    trial = config(few_digits)
    scaled = trial.model_copy(update={"batch_scale": 4})
    assert (scaled.effective_recipe.batch_size, scaled.recipe.batch_size) == (132, 33)
    assert scaled.effective_recipe.learning_rate == pytest.approx(0.08)
    assert scaled.digest != trial.digest
    assert trial.effective_recipe is trial.recipe


def test_two_workers_of_a_doubled_batch_train_it(few_digits: PreparedData, pair: RankPool) -> None:
    trial = config(few_digits, batch_size=16)
    doubled = trial.model_copy(update={"batch_scale": 2})
    by_hand = config(few_digits, batch_size=32, learning_rate=0.04)
    work = Work(doubled, few_digits, 1, norms_evaluate=True)
    assert_close(
        pair.run(train, work)[0], train(Work(by_hand, few_digits, 1, norms_evaluate=True))
    )


def test_memory_is_predicted_for_one_of_the_workers(cache_dir: Path) -> None:
    """Its share of the batch goes through at once; the message of all gradients comes to it."""
    digits = prepare(DataSpec(name="digits"), cache_dir=cache_dir)
    spec, shape = WideResNetSpec(depth=10, widen_factor=1), digits.input_spec
    whole, share = training_memory(spec, shape, 64), training_memory(spec, shape, 16)
    shared = training_memory(spec, shape, 16, num_workers=4)
    assert shared.exchange == shared.gradients
    assert shared.peak == share.peak + shared.exchange < whole.peak
    assert smallest_micro_batch_of(spec, shape, 64) == 2
    # Shares are 16 and 15: eight parts of 15 images would leave single ones.
    assert smallest_micro_batch_of(spec, shape, 62, num_workers=4) == 4
