"""What a variant costs, known before a worker is asked; and the caps that refuse it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archsearch.models.complexity import complexity
from archsearch.models.spec import ArchitectureError
from archsearch.spaces.limits import Constraints
from archsearch.spaces.trial import TrialConfig


class InfeasibleError(Exception):
    """A variant is above a cap, or cannot be built for this input; the message says why."""


@dataclass(frozen=True)
class Preflight:
    """The caps of a search: the space's constraints and the user's."""

    caps: tuple[tuple[Constraints, str], ...]
    """Each set of caps with how a user lifts it."""

    def check(self, config: TrialConfig) -> dict[str, Any]:
        """The cost of a variant, counted on the meta device.

        Raises:
            InfeasibleError: A cap is exceeded, or the network does not fit the images.
        """
        try:
            cost = complexity(config.architecture, config.input)
        except ArchitectureError as error:
            raise InfeasibleError(str(error)) from None
        for caps, _ in self.caps:
            broken = caps.violations(params=cost.params, macs=cost.macs)
            if broken:
                raise InfeasibleError(f"{config.name}: {'; '.join(broken)}")
        return cost.model_dump(mode="json")

    @property
    def how_to_lift(self) -> str:
        """What a user does about the caps, for a sentence."""
        return ", ".join(dict.fromkeys(how for _, how in self.caps)) or "there is none"
