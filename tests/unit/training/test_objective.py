"""One class an image, or several: loss, accuracy, and a training on a real data set of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from archsearch.data import DataSpec, PreparedData, Split, load_resident, load_test, prepare
from archsearch.models import WideResNetSpec
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.loop import Training
from archsearch.training.objective import answers_of, is_right, loss_of
from archsearch.training.predict import predict


@pytest.fixture(scope="module")
def attributes(cache_dir: Path) -> PreparedData:
    return prepare(DataSpec(name="digits_attributes"), cache_dir=cache_dir)


def start(data: PreparedData, max_epochs: int, **recipe: float) -> Training:
    config = TrialConfig(
        architecture=WideResNetSpec(depth=10, widen_factor=1),
        recipe=Recipe(batch_size=32).model_copy(update=recipe),
        input=data.input_spec,
        max_epochs=max_epochs,
        seed=1,
    )
    return Training(config, data, load_resident(data), precision="float32")


def test_one_class_an_image_is_cross_entropy() -> None:
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert torch.equal(loss_of(logits, labels, 0.1), expected)
    assert torch.equal(is_right(logits, labels), logits.argmax(1) == labels)
    assert torch.equal(answers_of(logits, multi_label=False), logits.argmax(1))


@given(smoothing=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_several_classes_are_as_many_questions_of_two_classes(smoothing: float, seed: int) -> None:
    """Each is the cross-entropy of the logits (0, z), smoothed by the same rule."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (5, 3), generator=generator).to(torch.uint8)
    pairs = torch.stack([torch.zeros_like(logits), logits], dim=-1).flatten(0, 1)
    questions = functional.cross_entropy(pairs, labels.flatten().long(), label_smoothing=smoothing)
    torch.testing.assert_close(loss_of(logits, labels, smoothing), questions)


def test_a_large_logit_costs_what_it_should() -> None:
    """A sigmoid in the network would have rounded to 1, and its logarithm to minus infinity."""
    logits = torch.tensor([[200.0, -200.0]])
    assert loss_of(logits, torch.tensor([[0, 1]], dtype=torch.uint8)).item() == 200
    assert loss_of(logits, torch.tensor([[1, 0]], dtype=torch.uint8)).item() == 0


def test_an_image_is_right_when_every_answer_is() -> None:
    logits = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -2.0, -3.0], [1.0, 1.0, 1.0]])
    labels = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 0]], dtype=torch.uint8)
    assert is_right(logits, labels).tolist() == [True, True, False]
    assert answers_of(logits, multi_label=True).tolist() == [0b101, 0, 0b111]


def test_a_small_network_learns_attributes(attributes: PreparedData) -> None:
    """Saying the commonest set of attributes for every image is right for a fifth of them."""
    training = start(attributes, 8)
    results = list(training.epochs())
    assert results[-1].val_accuracy > 0.85
    assert results[-1].train_loss < results[0].train_loss / 2
    val = load_resident(attributes).val
    logits = predict(training.averaged_model, val, mean=attributes.mean, std=attributes.std)
    assert logits.shape == (attributes.num_val, 5)
    assert is_right(logits, val.labels).double().mean().item() == results[-1].val_accuracy
    masks = answers_of(logits, multi_label=True)
    packed = (val.labels.long() * (1 << torch.arange(5))).sum(1)
    assert (masks == packed).double().mean().item() == results[-1].val_accuracy


def test_smoothing_and_micro_batches_work_on_attributes(attributes: PreparedData) -> None:
    plain, smooth = (
        next(start(attributes, 1, label_smoothing=s).epochs()).train_loss for s in (0.0, 0.2)
    )
    assert plain != smooth
    data = load_resident(attributes)
    config = start(attributes, 1).config
    cut = Training(config, attributes, data, precision="float32", micro_batch=8)
    assert next(cut.epochs()).train_loss == pytest.approx(plain, rel=0.2)


def test_attributes_follow_from_the_digit(attributes: PreparedData, cache_dir: Path) -> None:
    digits = prepare(DataSpec(name="digits"), cache_dir=cache_dir)
    assert not digits.multi_label
    assert attributes.multi_label
    assert attributes.class_names == ("even", "prime", "square", "above four", "has a loop")
    told = {0: "10101", 1: "00100", 2: "11000", 3: "01000", 4: "10100"}
    told |= {5: "01010", 6: "10011", 7: "01010", 8: "10011", 9: "00111"}
    by_image = {
        bytes(image.numpy().tobytes()): int(label)
        for split in _splits(digits)
        for image, label in zip(split.images, split.labels, strict=True)
    }
    for split in _splits(attributes):
        assert split.labels.dtype == torch.uint8
        for image, label in zip(split.images, split.labels, strict=True):
            digit = by_image[image.numpy().tobytes()]
            assert "".join(map(str, label.tolist())) == told[digit]


def _splits(data: PreparedData) -> tuple[Split, ...]:
    resident = load_resident(data)
    return (resident.train, resident.val, load_test(data))
