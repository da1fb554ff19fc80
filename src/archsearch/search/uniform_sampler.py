"""Draws uniformly, whatever came before: the sampler that others have to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from archsearch.record.trial import Refusal, TrialRecord
from archsearch.search.seeds import seed_of
from archsearch.spaces.population import Population
from archsearch.spaces.suggest import UniformSuggester


class UniformSampler:
    """A `Sampler` that learns nothing: every family alike, every field uniform in its range."""

    def __init__(self, space: Population, seed: int) -> None:
        self._space = space
        self._seed = seed

    def restore(self, trials: Sequence[TrialRecord], refusals: Sequence[Refusal]) -> None:
        """Nothing that is recorded changes a draw."""

    def propose(self, position: int, draw: int) -> dict[str, Any]:
        """See `Sampler.propose`."""
        seed = seed_of(self._seed, "uniform", position, draw)
        return self._space.suggest(UniformSuggester(random.Random(seed))).params

    def accept(
        self, number: int, params: dict[str, Any] | None, *, proposed: bool = False
    ) -> None:
        """Nothing to note."""

    def refuse(self, kind: str) -> None:
        """Nothing to note."""

    def tell(self, trial: TrialRecord) -> None:
        """Nothing to learn."""
