"""What a search draws from: the part of a search space that samplers and draws use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from archsearch.models import ArchitectureSpec
from archsearch.schema import InputSpec
from archsearch.spaces.parameters import AnyParameter, Scalar
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.suggest import Proposal, Suggester
from archsearch.spaces.trial_config import TrialConfig


class Population(Protocol):
    """Members that can be proposed by their parameters; a `SearchSpace` is one.

    The methods mean what they mean in `SearchSpace`, which documents them.
    """

    @property
    def families(self) -> Mapping[str, Any]:
        """By name."""
        ...

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of members that are trained first."""
        ...

    @property
    def objective(self) -> str:
        """What is optimised: the metric of an `objective.Objective`."""
        ...

    def parameters(self, family: str) -> dict[str, AnyParameter]:
        """See `SearchSpace.parameters`."""
        ...

    def suggest(self, suggester: Suggester, family: str | None = None) -> Proposal:
        """See `SearchSpace.suggest`."""
        ...

    def config(
        self,
        params: Mapping[str, Scalar],
        input_spec: InputSpec,
        seed: int,
        max_epochs: int | None = None,
    ) -> TrialConfig:
        """See `SearchSpace.config`."""
        ...

    def family_of(self, params: Mapping[str, Scalar]) -> str:
        """See `SearchSpace.family_of`."""
        ...

    def fits(self, params: Mapping[str, Scalar]) -> bool:
        """See `SearchSpace.fits`."""
        ...

    def params_of(self, architecture: ArchitectureSpec, recipe: Recipe) -> dict[str, Scalar]:
        """See `SearchSpace.params_of`."""
        ...

    def params_of_baseline(self, name: str) -> dict[str, Scalar]:
        """See `SearchSpace.params_of_baseline`."""
        ...
