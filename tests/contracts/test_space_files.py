"""What every space file that ships must hold."""

import pickle
import random

import pytest
import torch

from archsearch.models import FAMILIES, build_model
from archsearch.models.complexity import complexity
from archsearch.schema import InputSpec
from archsearch.search.request import default_mac_cap
from archsearch.spaces.load import load_space, shipped_spaces, space_text
from archsearch.spaces.parameters import Choice, IntRange, Scalar
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import UniformSuggester

DIGITS = InputSpec(in_channels=1, image_size=8, num_classes=10)
LARGE_DIGITS = InputSpec(in_channels=1, image_size=32, num_classes=10)
LARGEST_BATCH_OF_DIGITS = 64  # 1150 training images: larger batches leave too few steps an epoch
NAMES = shipped_spaces()


@pytest.fixture(scope="module", params=NAMES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return load_space(str(request.param))


def digits_for(space: SearchSpace) -> InputSpec:
    """Torchvision's networks shrink images 32 times, so digits are enlarged for them."""
    return LARGE_DIGITS if "torchvision" in space.families else DIGITS


def members(space: SearchSpace, count: int) -> list[dict[str, Scalar]]:
    suggester = UniformSuggester(random.Random(space.digest))
    return [dict(space.suggest(suggester).params) for _ in range(count)]


def test_the_spaces_of_the_readme_ship() -> None:
    assert set(NAMES) >= {
        "all_families",
        "densenet_growth",
        "finetune",
        "resnet_depth",
        "smoke",
        "wrn_blocks",
        "wrn_vs_resnext",
    }


def test_it_asks_a_question_in_one_line(space: SearchSpace) -> None:
    assert space.description.endswith("?")
    assert "\n" not in space.description


def test_its_file_is_explained(space: SearchSpace) -> None:
    assert space_text(space.name).startswith("# ")


def test_every_parameter_is_a_field_of_its_spec(space: SearchSpace) -> None:
    for family, branch in space.families.items():
        assert branch.keys() <= FAMILIES[family].model_fields.keys()
    assert space.training.keys() <= Recipe.model_fields.keys()


def test_every_searched_parameter_changes_the_trial(space: SearchSpace) -> None:
    """No knob without effect: another value of any one parameter is another configuration."""
    for params in members(space, 5):
        config = space.config(params, digits_for(space), seed=0)
        for name, parameter in space.parameters(str(params["family"])).items():
            if name == "family":
                continue
            other = next(v for v in parameter.examples(8) if v != params[name])
            changed = space.config({**params, name: other}, digits_for(space), seed=0)
            assert changed.digest != config.digest


def test_200_random_members_are_valid_trials(space: SearchSpace) -> None:
    for params in members(space, 200):
        assert space.fits(params)
        config = space.config(params, DIGITS, seed=0)
        assert config.architecture.family == params["family"]
        assert space.params_of(config.architecture, config.recipe) == params


def test_every_family_is_drawn(space: SearchSpace) -> None:
    drawn = {params["family"] for params in members(space, 100)}
    assert drawn == set(space.families)


def test_every_baseline_is_a_member(space: SearchSpace) -> None:
    for name in space.baselines:
        params = space.params_of_baseline(name)
        assert space.fits(params)
        assert space.config(params, DIGITS, seed=0).name == name


def test_every_family_of_a_comparison_has_a_baseline(space: SearchSpace) -> None:
    families = {space.family_of(space.params_of_baseline(name)) for name in space.baselines}
    assert space.name == "smoke" or families == set(space.families)


def test_it_pickles(space: SearchSpace) -> None:
    assert pickle.loads(pickle.dumps(space)) == space


def test_choices_are_short_and_ranges_are_wide(space: SearchSpace) -> None:
    for family in space.families:
        for parameter in space.parameters(family).values():
            if isinstance(parameter, Choice):
                assert len(parameter.values) <= 8
            if isinstance(parameter, IntRange):
                assert parameter.low < parameter.high


def test_digits_can_be_searched_with_two_rungs_at_least(space: SearchSpace) -> None:
    assert space.largest_batch_size <= LARGEST_BATCH_OF_DIGITS
    steps_per_epoch = 1150 // space.largest_batch_size + 1
    grace = space.fidelity.grace_period_epochs or max(
        -(-space.fidelity.max_epochs // 10), -(-100 // steps_per_epoch)
    )
    assert grace * space.fidelity.reduction_factor <= space.fidelity.max_epochs


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_random_members_build_on_the_meta_device(space: SearchSpace, count: int) -> None:
    architectures = {
        space.config(params, DIGITS, seed=0).architecture for params in members(space, count)
    }
    for architecture in architectures:
        with torch.device("meta"):
            network = build_model(architecture, digits_for(space))
        assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "smoke"])
def test_a_laptop_can_train_a_baseline_of_every_family(name: str) -> None:
    """On digits the smallest baseline of each family stays under the default cap."""
    space = load_space(name)
    images = digits_for(space)
    smallest: dict[str, int] = {}
    for baseline in space.baselines:
        config = space.config(space.params_of_baseline(baseline), images, seed=0)
        if config.architecture.family not in smallest:  # small ones come first
            smallest[config.architecture.family] = complexity(config.architecture, images).macs
    assert all(macs < default_mac_cap(images) for macs in smallest.values())
