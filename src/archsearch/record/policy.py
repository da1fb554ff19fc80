"""How a search decides: the choices that are recorded with it and that a resume keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field

from archsearch.errors import UsageError
from archsearch.halving.arms import DEFAULT_CONTROL_SHARE, DEFAULT_RANDOM_SHARE
from archsearch.schema import Frozen

SamplerName = Literal["tpe", "uniform"]
SchedulerName = Literal["stopping", "none"]


class Policy(Frozen):
    """Sampler, stopping rule and audit of a search. The defaults are those of release 0.1.0.

    A search is resumed under the policy that it was begun with: another sampler or stopping rule
    would make its trials incomparable.
    """

    sampler: SamplerName = "tpe"
    scheduler: SchedulerName = "stopping"
    random_share: float = Field(default=DEFAULT_RANDOM_SHARE, ge=0, le=1)
    """Share of trials drawn uniformly and never stopped."""
    control_share: float = Field(default=DEFAULT_CONTROL_SHARE, ge=0, le=1)
    """Probability that a sampler's proposal may not be stopped, to audit the stopping rule."""

    def continued(self, name: str, changes: Mapping[str, Any]) -> Self:
        """The policy under which a search with this one goes on.

        Args:
            name: The search's, for messages.
            changes: What its next command asks for, by field. Another random share holds for the
                trials to come.

        Raises:
            UsageError: Another sampler or stopping rule is asked for.
        """
        problems = [
            f"--{field} was {getattr(self, field)}, now {changes[field]}"
            for field in ("sampler", "scheduler")
            if changes.get(field, getattr(self, field)) != getattr(self, field)
        ]
        if problems:
            raise UsageError(
                f"the search {name!r} was begun otherwise: {'; '.join(problems)}. Leave the "
                "option out to go on as before, or choose another --name"
            )
        return self.model_copy(update=dict(changes))
