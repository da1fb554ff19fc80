"""What a variant costs, known before a worker is asked; and the caps that refuse it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archsearch.models.complexity import complexity
from archsearch.models.spec import ArchitectureError
from archsearch.spaces.limits import Constraints
from archsearch.spaces.trial import TrialConfig
from archsearch.training.footprint import training_memory
from archsearch.training.precision import Precision


class InfeasibleError(Exception):
    """A variant is above a cap, or cannot be built for this input; the message says why."""


@dataclass(frozen=True)
class Preflight:
    """The caps of a search: the space's constraints and the user's."""

    caps: tuple[tuple[Constraints, str], ...]
    """Each set of caps with how a user lifts it."""
    default_cap: int | None = None
    """The cap on MACs that is there because no accelerator is; one of `caps`."""
    precision: Precision = "float32"
    """At which memory is predicted: float32 takes the most, so it is safe for any worker."""

    def check(self, config: TrialConfig) -> dict[str, Any]:
        """The cost of a variant, counted on the meta device.

        `memory_mib` is told only where it is capped: it takes as long again to predict.

        Raises:
            InfeasibleError: A cap is exceeded, or the network does not fit the images.
        """
        try:
            cost = complexity(config.architecture, config.input)
        except ArchitectureError as error:
            raise InfeasibleError(str(error)) from None
        self._refuse_above(config, params=cost.params, macs=cost.macs)
        told = cost.model_dump(mode="json")
        if any(caps.max_memory_mib is not None for caps, _ in self.caps):
            memory = training_memory(
                config.architecture, config.input, config.recipe.batch_size, self.precision
            )
            self._refuse_above(config, memory_mib=memory.peak_mib)
            told["memory_mib"] = memory.peak_mib
        return told

    def _refuse_above(
        self,
        config: TrialConfig,
        *,
        params: int | None = None,
        macs: int | None = None,
        memory_mib: float | None = None,
    ) -> None:
        for caps, _ in self.caps:
            broken = caps.violations(params=params, macs=macs, memory_mib=memory_mib)
            if broken:
                raise InfeasibleError(f"{config.name}: {'; '.join(broken)}")

    @property
    def how_to_lift(self) -> str:
        """What a user does about the caps, for a sentence."""
        return ", ".join(dict.fromkeys(how for _, how in self.caps)) or "there is none"
