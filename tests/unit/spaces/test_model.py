"""The search space itself: members, meaning, and what happens when a space is widened."""

import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from archsearch.errors import UsageError
from archsearch.models import ResNetSpec, ResNeXtSpec, WideResNetSpec
from archsearch.schema import InputSpec
from archsearch.spaces.limits import Constraints, Fidelity
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import UniformSuggester

INPUT = InputSpec(in_channels=1, image_size=8, num_classes=10)


def raw_space(**changes: Any) -> dict[str, Any]:
    return {
        "name": "test",
        "description": "A question",
        "families": {
            "wrn": {
                "depth": {"int": [10, 28], "step": 6},
                "widen_factor": {"choice": [1, 2, 4]},
                "dropout": 0.0,
            },
            "resnet": {"depth": 20, "activation_order": {"choice": ["post", "pre"]}},
        },
        "training": {
            "learning_rate": {"float": [0.01, 0.05], "log": True},
            "batch_size": {"choice": [32, 128]},
            "momentum": 0.9,
        },
        "fidelity": {"max_epochs": 9},
        "baselines": ["WRN-16-2", "ResNet-20"],
        **changes,
    }


def make(**changes: Any) -> SearchSpace:
    return SearchSpace.model_validate(raw_space(**changes))


SPACE = make()
PARAMS: dict[str, Any] = {
    "family": "wrn",
    "wrn/depth": 16,
    "wrn/widen_factor": 2,
    "training/learning_rate": 0.02,
    "training/batch_size": 32,
}


def test_only_what_varies_is_asked_in_the_order_of_the_described_fields() -> None:
    assert list(SPACE.parameters("wrn")) == list(PARAMS)
    assert list(SPACE.parameters("resnet")) == [
        "family",
        "resnet/activation_order",
        "training/learning_rate",
        "training/batch_size",
    ]


def test_a_member_becomes_a_trial_with_the_constants_filled_in() -> None:
    config = SPACE.config(PARAMS, INPUT, seed=3)
    assert config.architecture == WideResNetSpec(depth=16, widen_factor=2)
    assert config.recipe == Recipe(learning_rate=0.02, batch_size=32, momentum=0.9)
    assert (config.name, config.max_epochs, config.seed) == ("WRN-16-2", 9, 3)
    assert SPACE.config(PARAMS, INPUT, seed=3, max_epochs=4).max_epochs == 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"wrn/depth": 17}, "wrn/depth=17 is outside"),
        ({"wrn/depth": 34}, r"outside \{int: \[10, 28\], step: 6\}"),
        ({"training/batch_size": "32"}, "training/batch_size='32'"),
        ({"wrn/block": "B(3,3)"}, "missing or unknown: wrn/block"),
        ({"family": "resnet"}, "missing or unknown"),
        ({"family": "vgg"}, "unknown family 'vgg'"),
        ({"family": None}, "unknown family"),
    ],
)
def test_what_is_not_a_member_is_refused(change: dict[str, Any], sentence: str) -> None:
    params = {**PARAMS, **change}
    assert not SPACE.fits(params)
    with pytest.raises(UsageError, match=sentence):
        SPACE.config(params, INPUT, seed=0)


def test_a_given_family_is_not_asked() -> None:
    class Picky(UniformSuggester):
        def suggest_categorical(self, name: str, choices: Any) -> Any:
            assert name != "family"
            return super().suggest_categorical(name, choices)

    proposal = SPACE.suggest(Picky(random.Random(0)), family="resnet")
    assert proposal.family == proposal.params["family"] == "resnet"
    assert SPACE.fits(proposal.params)
    with pytest.raises(UsageError, match="did you mean wrn"):
        SPACE.suggest(Picky(random.Random(0)), family="wrm")


def test_params_of_is_the_inverse_of_config() -> None:
    suggester = UniformSuggester(random.Random(5))
    for _ in range(50):
        params = SPACE.suggest(suggester).params
        config = SPACE.config(params, INPUT, seed=0)
        assert SPACE.params_of(config.architecture, config.recipe) == params


def test_a_description_outside_the_space_has_no_params() -> None:
    recipe = Recipe(learning_rate=0.02, batch_size=32)
    with pytest.raises(UsageError, match=r"depth is 34, outside .*dropout is 0.3, outside 0.0"):
        SPACE.params_of(WideResNetSpec(depth=34, widen_factor=2, dropout=0.3), recipe)
    with pytest.raises(UsageError, match=r"shortcut is 'B', and the space leaves it 'A'"):
        SPACE.params_of(ResNetSpec(depth=20, shortcut="B"), recipe)
    with pytest.raises(UsageError, match="weight_decay"):
        SPACE.params_of(ResNetSpec(depth=20), recipe.model_copy(update={"weight_decay": 0.1}))
    resnext = ResNeXtSpec(depth=11, cardinality=1, bottleneck_width=4)
    with pytest.raises(UsageError, match="no family 'resnext'"):
        SPACE.params_of(resnext, recipe)


def test_a_baseline_takes_the_recipe_nearest_to_the_default() -> None:
    assert SPACE.params_of_baseline("wrn-16-2") == {
        **PARAMS,
        "training/learning_rate": 0.05,  # the default, 0.1, is above the range
        "training/batch_size": 32,  # the default is 64
    }
    with pytest.raises(UsageError, match="depth is 40"):
        SPACE.params_of_baseline("WRN-40-2")
    with pytest.raises(UsageError, match="unknown network"):
        SPACE.params_of_baseline("VGG-16")


def test_largest_batch_size() -> None:
    assert SPACE.largest_batch_size == 128
    assert make(training={}).largest_batch_size == Recipe().batch_size
    assert make(training={"batch_size": {"int": [8, 48], "step": 8}}).largest_batch_size == 48
    assert make(training={"batch_size": 16}).largest_batch_size == 16


def test_it_pickles_and_survives_json() -> None:
    assert pickle.loads(pickle.dumps(SPACE)) == SPACE
    again = SearchSpace.model_validate_json(SPACE.model_dump_json())
    assert again == SPACE
    assert again.digest == SPACE.digest
    assert hash(again) == hash(SPACE)


def reordered(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {key: reordered(raw[key]) for key in reversed(raw)}
    return raw


def test_key_order_name_description_and_spelling_mean_nothing() -> None:
    families = raw_space()["families"]
    same: list[dict[str, Any]] = [
        reordered(raw_space()),
        raw_space(name="other"),
        raw_space(description=""),
        raw_space(baselines=["wrn-16-2", "resnet20"]),
        raw_space(fidelity={"max_epochs": 9, "reduction_factor": 3, "grace_period_epochs": None}),
        raw_space(constraints={}),
        raw_space(objective="val_accuracy"),
        raw_space(training={**raw_space()["training"], "weight_decay": 5e-4}),
        raw_space(training={k: v for k, v in raw_space()["training"].items() if k != "momentum"}),
        raw_space(families={**families, "wrn": {**families["wrn"], "dropout": 0}}),
        raw_space(families={**families, "wrn": {**families["wrn"], "block": "B(3,3)"}}),
        raw_space(
            families={
                **families,
                "wrn": {**families["wrn"], "widen_factor": {"choice": [4, 2, 1]}},
            }
        ),
        raw_space(families={**families, "resnet": {**families["resnet"], "shortcut": "A"}}),
        raw_space(
            families={**families, "resnet": {**families["resnet"], "depth": {"choice": [20]}}}
        ),
        raw_space(
            families={**families, "resnet": {**families["resnet"], "depth": {"int": [20, 20]}}}
        ),
    ]
    assert {SearchSpace.model_validate(raw).digest for raw in same} == {SPACE.digest}


def test_whatever_changes_a_draw_a_limit_or_a_trial_changes_the_digest() -> None:
    families, training = raw_space()["families"], raw_space()["training"]

    def with_wrn(**fields: Any) -> dict[str, Any]:
        return raw_space(families={**families, "wrn": {**families["wrn"], **fields}})

    different = [
        with_wrn(depth={"int": [10, 34], "step": 6}),
        with_wrn(depth={"choice": [10, 16, 22, 28]}),
        with_wrn(widen_factor={"choice": [1, 2]}) | {"baselines": ["WRN-16-2"]},
        with_wrn(dropout=0.1) | {"baselines": ["ResNet-20"]},
        with_wrn(block="B(3,1)") | {"baselines": ["ResNet-20"]},
        raw_space(families={"wrn": families["wrn"]}, baselines=[]),
        raw_space(training={**training, "momentum": 0.8}),
        raw_space(training={**training, "learning_rate": {"float": [0.01, 0.05]}}),
        raw_space(training={**training, "label_smoothing": {"float": [0, 0.1]}}),
        raw_space(fidelity={"max_epochs": 10}),
        raw_space(fidelity={"max_epochs": 9, "grace_period_epochs": 1}),
        raw_space(fidelity={"max_epochs": 9, "reduction_factor": 2}),
        raw_space(constraints={"max_macs": 1e7}),
        raw_space(constraints={"max_params": 10_000_000}),
        raw_space(baselines=["WRN-16-2"]),
        raw_space(baselines=["ResNet-20", "WRN-16-2"]),
    ]
    digests = [SearchSpace.model_validate(raw).digest for raw in different]
    assert len({*digests, SPACE.digest}) == len(different) + 1


def test_a_changed_copy_is_checked_and_has_its_own_digest() -> None:
    before = SPACE.digest
    tightened = SPACE.model_copy(update={"constraints": Constraints(max_macs=5)})
    assert tightened.constraints.max_macs == 5
    assert tightened.digest != before == SPACE.digest
    with pytest.raises(ValidationError, match="not a member of the space"):
        SPACE.model_copy(update={"baselines": ("WRN-40-2",)})


def test_trials_of_a_narrow_space_are_told_to_a_wider_one() -> None:
    """A family, a range, and a constant that became a range are added; old trials stay valid."""
    families, training = raw_space()["families"], raw_space()["training"]
    wider = make(
        families={
            "wrn": {
                "depth": {"int": [10, 40], "step": 6},
                "widen_factor": {"choice": [1, 2, 4, 8]},
                "dropout": {"float": [0, 0.4]},
            },
            "resnet": families["resnet"],
            "resnext": {"depth": 11, "cardinality": {"choice": [2, 4]}, "bottleneck_width": 4},
        },
        training={**training, "momentum": {"float": [0.8, 0.95]}},
    )
    suggester = UniformSuggester(random.Random(3))
    for _ in range(30):
        old = SPACE.suggest(suggester)
        config = SPACE.config(old.params, INPUT, seed=0)
        told = wider.params_of(config.architecture, config.recipe)
        assert wider.fits(told)
        assert wider.config(told, INPUT, seed=0) == config
        extra = {"training/momentum": 0.9}
        extra |= {"wrn/dropout": 0.0} if old.family == "wrn" else {}
        assert told == {**old.params, **extra}
        assert not wider.fits(old.params)  # its names are no longer all of the space's


def test_trials_outside_a_narrowed_space_do_not_fit() -> None:
    families = raw_space()["families"]
    narrow = make(families={**families, "wrn": {**families["wrn"], "depth": 10}}, baselines=[])
    config = SPACE.config(PARAMS, INPUT, seed=0)
    with pytest.raises(UsageError, match="depth is 16, outside 10"):
        narrow.params_of(config.architecture, config.recipe)


def test_constraints_tell_every_cap_that_breaks() -> None:
    caps = Constraints(max_params=1000, max_macs=10**6)
    assert caps.violations(params=1000, macs=10**6, memory_mib=1e9) == ()
    assert caps.violations(params=1001, macs=2_000_000) == (
        "`params <= 1,000` must hold, got 1,001",
        "`macs <= 1,000,000` must hold, got 2,000,000",
    )
    assert Constraints().violations(params=10**12, macs=10**15) == ()


@pytest.mark.parametrize(
    ("make_it", "sentence"),
    [
        (lambda: Fidelity(max_epochs=0), "max_epochs"),
        (
            lambda: Fidelity(max_epochs=3, grace_period_epochs=4),
            "grace_period_epochs <= max_epochs",
        ),
        (lambda: Fidelity(max_epochs=3, reduction_factor=1), "reduction_factor"),
        (lambda: Constraints(max_macs=1.5), "max_macs"),
        (lambda: Constraints(max_macs=0), "max_macs"),
    ],
)
def test_limits_hold_their_rules(make_it: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        make_it()
