"""Intervals: an estimate and how far the data let it be off."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with a two-sided interval around it.

    Attributes:
        estimate: What the data say.
        low: Lower end.
        high: Upper end.
        level: How often such an interval holds the truth, nominally.
    """

    estimate: float
    low: float
    high: float
    level: float = DEFAULT_LEVEL

    def holds(self, value: float) -> bool:
        """Whether the value lies inside, ends included."""
        return self.low <= value <= self.high


def wilson_interval(successes: int, trials: int, level: float = DEFAULT_LEVEL) -> Interval:
    """The score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209).

    Right for counts alone: of images, or of trials. The value of an objective that is no share of
    images has none of these.

    Raises:
        ValueError: `0 <= successes <= trials`, `trials >= 1` or `0 < level < 1` does not hold.
    """
    if trials < 1 or not 0 <= successes <= trials or not 0 < level < 1:
        raise ValueError(
            "`0 <= successes <= trials`, `trials >= 1` and `0 < level < 1` must hold, but got "
            f"(successes={successes}, trials={trials}, level={level})"
        )
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At the ends the formula is exact, but not in floating point.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(share, low, high, level)
