"""How long a space's trials train, and what they may cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from archsearch.schema import Frozen


def _whole(value: object) -> object:
    """`1e7` is a float to YAML and a count to a person."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=1, le=2**53)]


MAX_EPOCHS = 100_000


class Fidelity(Frozen):
    """What successive halving spends, in epochs."""

    max_epochs: Annotated[int, Field(strict=True, ge=1, le=MAX_EPOCHS)]
    """Full fidelity (*R*)."""

    grace_period_epochs: Annotated[int, Field(strict=True, ge=1)] | None = None
    """No trial is stopped before (*r*); computed from the data where it is not given."""

    reduction_factor: Annotated[int, Field(strict=True, ge=2, le=100)] = 3
    """One in so many goes on at a rung (*η*)."""

    @model_validator(mode="after")
    def _grace_ends_in_time(self) -> Fidelity:
        grace = self.grace_period_epochs
        if grace is not None and grace > self.max_epochs:
            raise ValueError(
                "`grace_period_epochs <= max_epochs` must hold, "
                f"got {grace} and max_epochs={self.max_epochs}"
            )
        return self


class Constraints(Frozen):
    """What a variant may cost; a cap that is not given does not bind."""

    max_params: Count | None = None
    """Trainable parameters."""

    max_macs: Count | None = None
    """Multiply-accumulates of one image's forward pass (convolutions and linear layers)."""

    max_memory_mib: Count | None = None
    """Memory of training that is predicted at a trial's batch size, in MiB."""

    def violations(
        self,
        *,
        params: int | None = None,
        macs: int | None = None,
        memory_mib: float | None = None,
    ) -> tuple[str, ...]:
        """One sentence for every cap that the given cost breaks; a cost not given breaks none."""
        costs = (("params", params), ("macs", macs), ("memory_mib", memory_mib))
        return tuple(
            f"`{name} <= {cap:,}` must hold, got {cost:,}"
            for name, cost in costs
            if (cap := getattr(self, f"max_{name}")) is not None
            and cost is not None
            and cost > cap
        )
