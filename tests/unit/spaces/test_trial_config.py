"""A trial's digests: checkpoints and duplicates are found by them, in later releases too."""

from __future__ import annotations

import pytest

from archsearch.models import FAMILIES
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig

DIGITS = InputSpec(in_channels=1, image_size=8, num_classes=10)

# Written once; a digest that changes here orphans the checkpoints of every recorded search.
RECORDED = {
    "WRN-16-2": "ff26c54f755569fc21a8b9e3e4f848c08fa5847bcd6707255fe77f18fc306db6",
    "ResNeXt-29-8x64d": "f6e3b4af62b6cfa4dc2faeeefd445519287cf08cfa0bbaebb08622d1eba2ca8f",
    "DenseNet-BC-100-12": "40b2e67882334614d759c3256784fd3ea62828a6becdfaf88f3183b08027a728",
    "ResNet-20": "fef5ec3fce3684d0cc7a40673657895df260fb5cd99b7d0108f8a19d5ded455b",
}


def config(name: str = "WRN-16-2", **recipe: float) -> TrialConfig:
    return TrialConfig(
        architecture=parse_name(name),
        recipe=Recipe(**recipe),
        input=DIGITS,
        max_epochs=18,
        seed=3,
    )


@pytest.mark.parametrize("name", RECORDED)
def test_digests_of_recorded_trials_stay(name: str) -> None:
    assert config(name, learning_rate=0.2).seeded_digest == RECORDED[name]


def test_a_field_at_its_default_means_the_same_as_one_left_out() -> None:
    assert config(momentum=0.9).digest == config().digest
    assert config(momentum=0.8).digest != config().digest


def test_the_seed_makes_another_training_but_not_another_configuration() -> None:
    other = config().model_copy(update={"seed": 4})
    assert other.digest == config().digest
    assert other.seeded_digest != config().seeded_digest


def test_families_never_share_a_digest() -> None:
    names = {"resnet": "ResNet-20", "wrn": "WRN-16-1", "resnext": "ResNeXt-29-1x4d"}
    digests = {config(names[family]).digest for family in names if family in FAMILIES}
    assert len(digests) == len(names)
