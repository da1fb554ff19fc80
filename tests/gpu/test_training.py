"""A training on a GPU is a processor's, to rounding; and its own, repeated, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from archsearch.data import PreparedData, load_resident
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.exportable import fresh_model, trained_model
from archsearch.training.loop import Training
from archsearch.training.predict import predict
from archsearch.training.state import load_averaged_model, unpack
from tests.data_parallel_support import RankPool, Trained, Work, train

pytestmark = pytest.mark.gpu

FAMILIES = ("ResNet-20", "WRN-10-2-dropout0.3", "ResNeXt-11-4x4d", "DenseNet-BC-16-8-efficient")


def config(data: PreparedData, name: str = "WRN-10-1", **recipe: Any) -> TrialConfig:
    return TrialConfig(
        architecture=parse_name(name),
        recipe=Recipe(**{"batch_size": 33, "learning_rate": 0.02} | recipe),
        input=data.input_spec,
        max_epochs=2,
        seed=5,
    )


def start(data: PreparedData, name: str) -> Training:
    return Training(config(data, name), data, load_resident(data), device="cuda")


def assert_close(one: Trained, other: Trained, tolerance: float) -> None:
    """Weights, averages and losses."""
    assert one.error is None
    assert other.error is None
    assert one.payload is not None
    assert other.payload is not None
    mine, others = unpack(one.payload).stepper, unpack(other.payload).stepper
    for part in ("model", "average"):
        for name, tensor in mine[part].items():
            torch.testing.assert_close(tensor, others[part][name], rtol=0, atol=tolerance)
    for a, b in zip(one.results, other.results, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, abs=tolerance)
        assert a.val_loss == pytest.approx(b.val_loss, abs=tolerance)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_epoch_and_another_equal_two_bit_for_bit(digits: PreparedData, name: str) -> None:
    """In the GPU's own precision, with augmentation and dropout; and a trial leaves no trace."""
    outer = torch.cuda.get_rng_state()
    whole = start(digits, name)
    expected = list(whole.epochs())
    first = start(digits, name)
    halves = [next(first.epochs())]
    second = start(digits, name)
    second.load_state_bytes(first.state_bytes())
    halves += second.epochs()
    assert second.state_bytes() == whole.state_bytes()
    assert [r.val_loss for r in halves] == [r.val_loss for r in expected]
    assert torch.equal(torch.cuda.get_rng_state(), outer)


def test_micro_batches_give_the_gradient_of_the_batch(digits: PreparedData) -> None:
    """As on a processor, to the same tolerance: float32 is not rounded to TF32."""
    work = Work(config(digits), digits, norms_evaluate=True, device="cuda")
    cut = Work(config(digits), digits, norms_evaluate=True, device="cuda", micro_batch=8)
    assert_close(train(cut), train(work), 1e-5)
    on_processor = Work(config(digits), digits, norms_evaluate=True)
    assert_close(train(work), train(on_processor), 1e-4)


def test_a_network_answers_on_a_processor_as_on_a_gpu(digits: PreparedData) -> None:
    """What is read of a test split must not depend on where; TF32 is off by 1e-3 and more."""
    model = fresh_model(parse_name("WRN-16-4"), digits.input_spec, seed=1)
    val = load_resident(digits).val
    scale: dict[str, Any] = {"mean": digits.mean, "std": digits.std}
    expected = predict(model.network, val, **scale)
    answers = predict(model.network.to("cuda"), val, **scale)
    torch.testing.assert_close(answers.cpu(), expected, rtol=0, atol=1e-4)


def test_what_a_gpu_has_trained_is_used_on_a_processor(digits: PreparedData) -> None:
    """From its checkpoint, in float32: the accuracy is the one that was told."""
    training = start(digits, "ResNet-20")
    *_, last = training.epochs()
    network = load_averaged_model(training.config, training.state_bytes())
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
    model = trained_model(training.config.architecture, network, digits, {})
    val = load_resident(digits).val
    logits = predict(model.network, val, mean=model.mean, std=model.std)
    accuracy = (logits.argmax(1) == val.labels).double().mean().item()
    assert accuracy == pytest.approx(last.val_accuracy, abs=0.02)  # which bfloat16 has answered


@pytest.fixture(scope="module")
def pair(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankPool]:
    """Two processes that share one GPU, and meet by gloo: NCCL wants a GPU for each."""
    with RankPool(tmp_path_factory.mktemp("group") / "store") as pool:
        yield pool


@pytest.mark.parametrize("synchronised", [False, True], ids=["fixed-norms", "synchronised-norms"])
def test_two_workers_train_what_one_does(
    digits: PreparedData, pair: RankPool, synchronised: bool
) -> None:
    """`SyncBatchNorm` normalises by the whole batch: what one worker does that has all of it."""
    trial = config(digits, augmentation=0.0)
    norms: dict[str, Any] = {"norms_evaluate": not synchronised}
    alone = train(Work(trial, digits, device="cuda", **norms))
    shared = Work(trial, digits, device="cuda", synchronise_norms=synchronised, **norms)
    first, second = pair.run(train, shared)
    assert_close(first, alone, 1e-3 if synchronised else 1e-5)
    assert first.payload == second.payload
