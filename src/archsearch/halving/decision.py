"""The stop decision at a rung as a pure function of the values seen there."""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archsearch.objective import Objective


class Decision(enum.Enum):
    """What happens to a trial that has reported."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True)
class Standing:
    """Where a value stands among those of its rung, itself included.

    Attributes:
        rank: 1 for the best; equal values share the better rank.
        num_values: Values at the rung, n.
        num_kept: How many of them may go on, ceil(n / eta).
    """

    rank: int
    num_values: int
    num_kept: int

    @property
    def decision(self) -> Decision:
        """CONTINUE for the best `num_kept`; ties go on together."""
        return Decision.CONTINUE if self.rank <= self.num_kept else Decision.STOP


def standing(
    value: float, others: Iterable[float], reduction_factor: int, objective: Objective
) -> Standing:
    """Rank `value` among `others`, of which those not finite are left out.

    Raises:
        ValueError: `value` is not finite, or `reduction_factor >= 2` does not hold.
    """
    if not math.isfinite(value):
        raise ValueError(f"`value` must be finite to be ranked, but got value={value}")
    if reduction_factor < 2:
        raise ValueError(
            f"`reduction_factor >= 2` must hold, but got reduction_factor={reduction_factor}"
        )
    finite = [other for other in others if math.isfinite(other)]
    num_values = len(finite) + 1
    rank = 1 + sum(map(objective.is_better, finite, itertools.repeat(value)))
    return Standing(rank, num_values, -(-num_values // reduction_factor))


def decide(
    value: float, others: Sequence[float], reduction_factor: int, objective: Objective
) -> Decision:
    """Whether a trial goes on from a rung; ASHA's stopping variant with the newcomer counted in.

    A trial goes on when it is among the best ceil(n / eta) of the rung's n values, its own
    included; equal values go on together, so a lone trial always does. A value that is not
    finite stops its trial at once and never counts among another's `others`.

    Args:
        value: The trial's, at this rung.
        others: Values of the other trials that reached this rung before it.
        reduction_factor: eta of Li et al. 2020.
        objective: Which values are better.

    Raises:
        ValueError: `reduction_factor >= 2` does not hold.
    """
    if not math.isfinite(value):
        return Decision.STOP
    return standing(value, others, reduction_factor, objective).decision
