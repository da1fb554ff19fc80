"""Drawing values: the uniform suggester, and Optuna's trial in the same role."""

import math
import random
from collections import Counter

import numpy as np
import optuna
import pytest

from archsearch.spaces.load import load_space
from archsearch.spaces.parameters import Choice, Constant, FloatRange, IntRange, Scalar
from archsearch.spaces.suggest import SupportsRandom, UniformSuggester, ask

DRAWS = 4000


def draw(parameter: Choice | IntRange | FloatRange, seed: int = 0) -> list[Scalar]:
    suggester = UniformSuggester(random.Random(seed))
    return [ask(suggester, "x", parameter) for _ in range(DRAWS)]


@pytest.mark.parametrize(
    "parameter",
    [
        Choice(values=(1, 2, 4)),
        IntRange(low=10, high=40, step=6),
        IntRange(low=1, high=32, log=True),
        FloatRange(low=-1, high=1),
        FloatRange(low=1e-5, high=1e-1, log=True),
    ],
)
def test_every_draw_is_a_member(parameter: Choice | IntRange | FloatRange) -> None:
    assert all(parameter.contains(value) for value in draw(parameter))


@pytest.mark.parametrize(
    "parameter", [Choice(values=("a", "b", "c", "d")), IntRange(low=10, high=28, step=6)]
)
def test_discrete_values_are_equally_likely(parameter: Choice | IntRange) -> None:
    counts = Counter(draw(parameter))
    # A count of one in four has standard deviation 27; five of them is one in a million.
    assert len(counts) == 4
    assert all(abs(count - DRAWS / 4) < 5 * 27.4 for count in counts.values())


def test_log_draws_are_uniform_in_the_logarithm() -> None:
    decades = Counter(
        math.floor(math.log10(float(v))) for v in draw(FloatRange(low=1e-4, high=1.0, log=True))
    )
    assert all(abs(decades[d] - DRAWS / 4) < 5 * 27.4 for d in (-4, -3, -2, -1))


def test_log_integers_follow_optunas_definition() -> None:
    """The rounding of a log-uniform number between low - 0.5 and high + 0.5."""
    counts = Counter(draw(IntRange(low=1, high=4, log=True)))
    total = math.log(4.5 / 0.5)
    for value in (1, 2, 3, 4):
        expected = DRAWS * math.log((value + 0.5) / (value - 0.5)) / total
        assert abs(counts[value] - expected) < 5 * math.sqrt(expected)


def test_a_value_takes_exactly_one_random_number() -> None:
    class Counting:
        asked = 0

        def random(self) -> float:
            self.asked += 1
            return 0.999999

    source = Counting()
    suggester = UniformSuggester(source)
    parameters: tuple[Choice | IntRange | FloatRange, ...] = (
        Choice(values=(1, 2)),
        IntRange(low=1, high=9, log=True),
        IntRange(low=1, high=9),
        FloatRange(low=0, high=1),
        FloatRange(low=0.1, high=1, log=True),
    )
    for number, parameter in enumerate(parameters, start=1):
        ask(suggester, "x", parameter)
        assert source.asked == number


def test_a_constant_is_not_asked() -> None:
    class Silent:
        def random(self) -> float:
            raise AssertionError

    assert ask(UniformSuggester(Silent()), "x", Constant(value=3)) == 3


@pytest.mark.parametrize("make", [random.Random, np.random.default_rng])
def test_equal_seeds_draw_equal_proposals(make: type[SupportsRandom]) -> None:
    space = load_space("all_families")

    def proposals() -> list[object]:
        suggester = UniformSuggester(make(7))  # type: ignore[call-arg]
        return [space.suggest(suggester) for _ in range(20)]

    assert proposals() == proposals()


def test_an_optuna_trial_is_a_suggester() -> None:
    space = load_space("all_families")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        proposal = space.suggest(trial)
        assert trial.params == proposal.params
        assert list(space.parameters(proposal.family)) == list(trial.params)
        assert space.fits(trial.params)
        study.tell(trial, 0.0)
