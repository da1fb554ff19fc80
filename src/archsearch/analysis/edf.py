"""Empirical distribution functions of the shortfall at matched complexity.

The shortfall of an accuracy is the error, that of a loss the loss (`Objective.shortfall_of`).

Radosavovic et al. 2019, "On Network Design Spaces for Visual Recognition" (arXiv:1905.13214),
sections 3.1 and 3.3: F(e) = sum_i w_i 1[e_i < e], where the weights bring the families to one
distribution of complexity. They weigh by bins of complexity, for which they sampled hundreds of
models; a search has tens, so the density of costs is estimated here by a kernel instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import DEFAULT_LEVEL
from archsearch.analysis.members import Member
from archsearch.objective import Objective

Floats = npt.NDArray[np.float64]

CALIPER = 2.0
"""Costs that differ by this factor or more are not the same cost."""


@dataclass(frozen=True)
class Edf:
    """One family's distribution of the shortfall, as steps: values at the right of each error.

    Attributes:
        errors: Ascending, without repetition. Lost members are not among them.
        share: Share of the family (at matched cost) whose error is at most that.
        low: Lower pointwise bootstrap limit of `share`.
        high: Upper one.
        level: Of the limits.
        effective_size: Members that an unweighted sample of the same precision would have,
            (sum w)**2 / sum w**2 (Kish 1965); 0 for a family without a match.
    """

    errors: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float
    effective_size: float

    def median_error(self) -> float | None:
        """The smallest error that half of the family does not exceed; None if half is lost."""
        return next((e for e, s in zip(self.errors, self.share, strict=True) if s >= 0.5), None)


def nearness(costs: Floats, other_costs: Floats) -> Floats:
    """How far two costs are the same: 1 if equal, 0 from a factor of `CALIPER` on.

    Triangular in the logarithm of their ratio.

    Args:
        costs: (n,), positive.
        other_costs: (m,), positive.

    Returns:
        (n, m), in [0, 1].
    """
    ratios = np.log(costs)[:, None] - np.log(other_costs)[None, :]
    near: Floats = np.maximum(0.0, 1.0 - np.abs(ratios) / np.log(CALIPER))
    return near


def matched_weights(costs: Sequence[Floats]) -> list[Floats]:
    """Weights under which every family has the same distribution of costs.

    A member at cost c of family f gets min_g d_g(c) / d_f(c), with d_g the density of costs of
    family g at c: each family is brought to what all of them have in common. Where one family has
    nothing, nobody counts.

    Args:
        costs: One array a family, of that family's members.

    Returns:
        Arrays of the same lengths that sum to 1 each, or of zeros where nothing matches.
    """
    weights = []
    for own in costs:
        if not all(len(each) for each in costs):
            weights.append(np.zeros(len(own)))
            continue
        densities = np.array([nearness(own, other).mean(axis=1) for other in costs])
        raw = densities.min(axis=0) / nearness(own, own).mean(axis=1)
        total = raw.sum()
        weights.append(raw / total if total > 0 else np.zeros(len(own)))
    return weights


def edf_of(
    members: Sequence[Member],
    weights: Floats,
    generator: np.random.Generator,
    objective: Objective,
    *,
    level: float = DEFAULT_LEVEL,
    num_resamples: int = 1000,
) -> Edf:
    """The weighted distribution of the members' errors, with pointwise bootstrap limits.

    Members are resampled with their weights.

    Args:
        members: Of one family.
        weights: (n,), sum 1; or zeros, which give an empty function.
        generator: Of the resamples.
        objective: Of the search.
        level: Of the limits.
        num_resamples: How many.
    """
    used = [i for i in range(len(members)) if weights[i] > 0]
    if not used:
        return Edf((), (), (), (), level, 0.0)
    own = weights[used]
    error = np.array([objective.shortfall_of(members[i].score) for i in used])
    errors = np.unique(error[np.isfinite(error)])
    below = error[:, None] <= errors[None, :]  # (n, errors)
    counts = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), num_resamples)
    drawn = counts * own  # (resamples, n)
    resampled = np.minimum((drawn @ below) / drawn.sum(axis=1, keepdims=True), 1.0)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Edf(
        errors=tuple(errors.tolist()),
        share=tuple(np.minimum(own @ below / own.sum(), 1.0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        level=level,
        effective_size=float(own.sum() ** 2 / (own**2).sum()),
    )
