"""What every metric of validation owes training."""

from __future__ import annotations

import math

import pytest
import torch

from archsearch.training.metrics import VALIDATION_METRICS
from archsearch.training.result import EpochResult

NUM_IMAGES, NUM_CLASSES = 97, 5

every_metric = pytest.mark.parametrize("name", VALIDATION_METRICS)
every_kind = pytest.mark.parametrize("multi_label", [False, True], ids=["one", "several"])


def answers(multi_label: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of images that show one class, or several."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(NUM_IMAGES, NUM_CLASSES, generator=generator)
    if multi_label:
        shape = (NUM_IMAGES, NUM_CLASSES)
        return logits, torch.randint(2, shape, generator=generator, dtype=torch.uint8)
    return logits, torch.randint(NUM_CLASSES, (NUM_IMAGES,), generator=generator)


@every_metric
@every_kind
@pytest.mark.parametrize("sizes", [[97], [1, 96], [50, 47], [10] * 9 + [7]])
def test_parts_add_up_to_the_whole(name: str, multi_label: bool, sizes: list[int]) -> None:
    metric, (logits, labels) = VALIDATION_METRICS[name], answers(multi_label)
    parts = zip(logits.split(sizes), labels.split(sizes), strict=True)
    added = torch.stack([metric.sums(*part) for part in parts]).sum(0)
    whole = metric.sums(logits, labels)
    assert whole.shape == (metric.length,)
    assert whole.dtype == torch.float64
    assert metric.value(added) == pytest.approx(metric.value(whole), rel=1e-6)


@every_metric
@every_kind
def test_arguments_and_random_numbers_are_left_alone(name: str, multi_label: bool) -> None:
    metric, (logits, labels) = VALIDATION_METRICS[name], answers(multi_label)
    before, state = (logits.clone(), labels.clone()), torch.get_rng_state()
    assert math.isfinite(metric.value(metric.sums(logits, labels)))
    assert torch.equal(logits, before[0])
    assert torch.equal(labels, before[1])
    assert torch.equal(torch.get_rng_state(), state)


@every_metric
def test_an_epoch_has_a_field_for_it(name: str) -> None:
    assert EpochResult.model_fields[name].annotation is float
