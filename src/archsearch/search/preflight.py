"""What a variant costs, known before a worker is asked; and the caps that refuse it."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any, Protocol

from archsearch.errors import UnfitError
from archsearch.models.complexity import complexity
from archsearch.models.spec import ArchitectureError
from archsearch.record.cells import TrialComplexity
from archsearch.schema import InputSpec
from archsearch.spaces.limits import Constraints
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import SmallestSuggester, UniformSuggester
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.footprint import training_memory
from archsearch.training.memory import share_of
from archsearch.training.precision import Precision

MAX_REFUSALS_IN_A_ROW = 200


class InfeasibleError(Exception):
    """A variant is above a cap, or cannot be built for this input; the message says why."""


class CostCheck(Protocol):
    """Knows what a variant costs before it is trained."""

    def check(self, config: TrialConfig) -> TrialComplexity:
        """The cost.

        Raises:
            InfeasibleError: The variant must not be trained.
        """
        ...


@dataclass(frozen=True)
class Preflight:
    """The caps of a search: the space's constraints and the user's."""

    caps: tuple[tuple[Constraints, str], ...]
    """Each set of caps with how a user lifts it."""
    default_cap: int | None = None
    """The cap on MACs that is there because no accelerator is; one of `caps`."""
    precision: Precision = "float32"
    """At which memory is predicted: float32 takes the most, so it is safe for any worker."""
    num_workers: int = 1
    """How many share a batch of every trial."""
    batch_scale: int = 1
    """How many times the recipe's that batch is."""

    def check(self, config: TrialConfig) -> TrialComplexity:
        """The cost of a variant, counted on the meta device.

        `memory_mib` is told only where it is capped: it takes as long again to predict.

        Raises:
            InfeasibleError: A cap is exceeded, the network does not fit the images, or the batch
                not so many workers.
        """
        batch_size = config.recipe.batch_size * self.batch_scale
        if batch_size < 2:
            raise InfeasibleError(
                f"{config.name}: batches of one image cannot be trained with BatchNorm, which "
                "normalises by the other images of a batch (lift it: a batch_size of 2 or more)"
            )
        if self.num_workers > 1 and batch_size // self.num_workers < 2:
            raise InfeasibleError(
                f"{config.name}: a batch of {batch_size} gives {self.num_workers} workers fewer "
                "than two images each (lift it: fewer --workers-per-trial)"
            )
        try:
            cost = complexity(config.architecture, config.input)
        except ArchitectureError as error:
            raise InfeasibleError(str(error)) from None
        self._refuse_above(config, params=cost.params, macs=cost.macs)
        memory_mib = None
        if any(caps.max_memory_mib is not None for caps, _ in self.caps):
            memory = training_memory(
                config.architecture,
                config.input,
                share_of(batch_size, self.num_workers),
                self.precision,
                self.num_workers,
            )
            memory_mib = memory.peak_mib
            self._refuse_above(config, memory_mib=memory_mib)
        return TrialComplexity(**cost.model_dump(), memory_mib=memory_mib)

    def _refuse_above(
        self,
        config: TrialConfig,
        *,
        params: int | None = None,
        macs: int | None = None,
        memory_mib: float | None = None,
    ) -> None:
        for caps, how in self.caps:
            broken = caps.violations(params=params, macs=macs, memory_mib=memory_mib)
            if broken:
                raise InfeasibleError(f"{config.name}: {'; '.join(broken)} (lift it: {how})")


def check_feasible(preflight: Preflight, space: SearchSpace, input_spec: InputSpec) -> None:
    """Refuse a space with a family that cannot be trained, before a search is begun.

    The random arm draws uniformly within each family, so each must have members that pass; the
    first one found is enough, so this costs one check a family where all is well.

    Raises:
        UnfitError: All of 200 uniform draws of a family were refused.
    """
    for family in sorted(space.families):
        uniform = UniformSuggester(random.Random(0))
        draws = (space.suggest(uniform, family).params for _ in range(MAX_REFUSALS_IN_A_ROW))
        smallest = space.suggest(SmallestSuggester(), family).params
        reason = None
        for params in itertools.chain(draws, [smallest]):
            reason = _refusal(preflight, space, input_spec, params)
            if reason is None:
                break
        if reason is not None:
            raise nothing_feasible(f"family {family}", reason)


def _refusal(
    preflight: Preflight, space: SearchSpace, input_spec: InputSpec, params: dict[str, Any]
) -> str | None:
    """Why these parameters cannot be trained, if they cannot."""
    try:
        preflight.check(space.config(params, input_spec, seed=0))
    except (InfeasibleError, ValueError) as error:
        return str(error)
    return None


def nothing_feasible(where: str, reason: str) -> UnfitError:
    """What a user is told when draw after draw is refused."""
    return UnfitError(
        f"nothing of {where} can be trained: {MAX_REFUSALS_IN_A_ROW} draws in a row were "
        f"refused; lift the cap, or leave that out of the space. The last: {reason}"
    )
