"""Families of known truth: how they end, how fast they learn and what they cost is written down.

A member's accuracy after epoch e of E is

    start + (limit - start) * (1 - exp(-e / tau)) / (1 - exp(-E / tau)) + noise * N(0, 1)

with limit = level + slope * log2(MACs / 2**20) + spread * z, where z is standard normal over
uniform draws of the family: partly from the learning rate, so that a sampler has something to
learn, the rest fixed by the member's other fields. So two members of equal cost compare as two
normal variables, and the probability that one beats the other is known exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from archsearch.errors import UsageError, nearest_names
from archsearch.record.cells import TrialComplexity
from archsearch.search.seeds import seed_of
from archsearch.simulation.curves import SimulatedEpoch, positions
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.trial_config import TrialConfig

_NORMAL = NormalDist()
_LEARNABLE = 0.6
_START = 0.1
_MACS = 2**20
_LEARNING_RATE = "training/learning_rate"


@dataclass(frozen=True)
class SyntheticFamily:
    """What is true of one family.

    Attributes:
        level: Mean accuracy of its members of `2**20` MACs at full fidelity.
        tau: Epochs in which a curve gets nearer to its end by a factor of e.
        spread: Standard deviation of its members' accuracy at equal cost.
        octaves: Least and most MACs of a member, as powers of two above `2**20`.
        diverging: Share of its members that diverge, in an epoch of their own.
        seconds: An epoch of a member of `2**20` MACs.
    """

    level: float
    tau: float = 1.5
    spread: float = 0.03
    octaves: tuple[float, float] = (-1.5, 1.5)
    diverging: float = 0.0
    seconds: float = 10.0


@dataclass(frozen=True)
class SyntheticWorld:
    """Curves of families of known truth; see the module for the equation.

    Attributes:
        name: What people call it.
        description: What is true of it.
        families: By the names that the space has.
        space: The space that is searched.
        slope: Accuracy that twice the MACs bring, in every family.
        noise: Standard deviation of one reading of the validation accuracy.
        seed: Of the members' luck and of the noise.
    """

    name: str
    description: str
    families: Mapping[str, SyntheticFamily]
    space: SearchSpace
    slope: float = 0.01
    noise: float = 0.005
    seed: int = 0

    def complexity(self, config: TrialConfig) -> TrialComplexity:
        """Costs within the family's octaves, by where its architecture lies in its ranges."""
        family = self.families[config.architecture.family]
        prefix = f"{config.architecture.family}/"
        own = [p for name, p in positions(self.space, config).items() if name.startswith(prefix)]
        place = sum(own) / len(own) if own else 0.5
        low, high = family.octaves
        macs = round(_MACS * 2 ** (low + (high - low) * place))
        return TrialComplexity(params=macs // 4, macs=macs, activations=macs // 16)

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        """The equation's values, in [0, 1]."""
        family = self.families[config.architecture.family]
        generator = np.random.default_rng(seed_of(self.seed, config.seeded_digest))
        octave = math.log2(self.complexity(config).macs / _MACS)
        limit = family.level + self.slope * octave + family.spread * self._luck(config)
        num_epochs, ends_at = config.max_epochs, None
        if generator.random() < family.diverging:
            ends_at = int(generator.integers(1, num_epochs + 1))
        epochs = np.arange(1, num_epochs + 1)
        risen = -np.expm1(-epochs / family.tau) / -math.expm1(-num_epochs / family.tau)
        readings = _START + (limit - _START) * risen
        readings = readings + self.noise * generator.standard_normal(num_epochs)
        values = np.clip(readings, 0.0, 1.0).tolist()
        if ends_at is not None:
            values = [*values[: ends_at - 1], math.nan]
        seconds = family.seconds * 2**octave
        return tuple(SimulatedEpoch(value, seconds) for value in values)

    def superiority(self, first: str, second: str) -> float:
        """The truth that a verdict estimates: how often a member of `first` beats one of `second`.

        Members at equal cost, full fidelity, one reading each. One that diverges loses against
        one that does not, and two that do tie.
        """
        ours, theirs = self.families[first], self.families[second]
        deviation = math.sqrt(ours.spread**2 + theirs.spread**2 + 2 * self.noise**2)
        trained = _NORMAL.cdf((ours.level - theirs.level) / deviation)
        both = (1 - ours.diverging) * (1 - theirs.diverging)
        alone = (1 - ours.diverging) * theirs.diverging
        return both * trained + alone + ours.diverging * theirs.diverging / 2

    def _luck(self, config: TrialConfig) -> float:
        """The member's z: standard normal over uniform draws."""
        generator = np.random.default_rng(seed_of(self.seed, "member", config.digest))
        own = float(generator.standard_normal())
        place = positions(self.space, config).get(_LEARNING_RATE)
        if place is None:
            return own
        learned = _NORMAL.inv_cdf(min(max(place, 1e-6), 1 - 1e-6))
        return _LEARNABLE * learned + math.sqrt(1 - _LEARNABLE**2) * own


def _space(families: tuple[str, ...]) -> SearchSpace:
    branches = {
        "wrn": {"depth": {"int": [10, 40], "step": 6}, "widen_factor": {"int": [1, 10]}},
        "resnext": {
            "depth": {"int": [11, 56], "step": 9},
            "cardinality": {"int": [1, 32], "log": True},
            "bottleneck_width": 4,
        },
        "densenet": {
            "depth": {"int": [10, 40], "step": 6},
            "growth_rate": {"int": [4, 32], "log": True},
        },
    }
    return SearchSpace.model_validate(
        {
            "name": "synthetic",
            "families": {family: branches[family] for family in families},
            "training": {"learning_rate": {"float": [0.01, 1.0], "log": True}},
            "fidelity": {"max_epochs": 9, "grace_period_epochs": 1, "reduction_factor": 3},
        }
    )


SCENARIOS: dict[str, tuple[str, dict[str, SyntheticFamily], dict[str, float]]] = {
    "equal": (
        "both families are the same",
        {"wrn": SyntheticFamily(0.75), "resnext": SyntheticFamily(0.75)},
        {},
    ),
    "ahead": (
        "wrn is better from the first epoch to the last",
        {"wrn": SyntheticFamily(0.79), "resnext": SyntheticFamily(0.75)},
        {},
    ),
    "crossing": (
        "resnext learns slowly and ends above wrn",
        {"wrn": SyntheticFamily(0.75, tau=1.0), "resnext": SyntheticFamily(0.79, tau=6.0)},
        {},
    ),
    "behind": (
        "resnext learns slowly and stays below wrn",
        {"wrn": SyntheticFamily(0.79, tau=1.0), "resnext": SyntheticFamily(0.75, tau=6.0)},
        {},
    ),
    "costly": (
        "both are the same at equal cost, but resnext costs four times as much",
        {
            "wrn": SyntheticFamily(0.75, octaves=(-2.5, 1.5)),
            "resnext": SyntheticFamily(0.75, octaves=(-0.5, 3.5)),
        },
        {"slope": 0.03},
    ),
    "fragile": (
        "wrn is better where it trains, but three in ten of it diverge",
        {"wrn": SyntheticFamily(0.77, diverging=0.3), "resnext": SyntheticFamily(0.75)},
        {},
    ),
    "three": (
        "wrn and densenet are the same, resnext is worse",
        {
            "wrn": SyntheticFamily(0.78),
            "densenet": SyntheticFamily(0.78),
            "resnext": SyntheticFamily(0.72),
        },
        {},
    ),
}
"""Name → what is true, the families, other fields of the world."""


def synthetic_world(name: str, seed: int = 0) -> SyntheticWorld:
    """One of the worlds of `SCENARIOS`.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in SCENARIOS:
        raise UsageError(f"there is no scenario {name!r}: {nearest_names(name, SCENARIOS)}")
    description, families, fields = SCENARIOS[name]
    return SyntheticWorld(
        name, description, families, _space(tuple(families)), seed=seed, **fields
    )
