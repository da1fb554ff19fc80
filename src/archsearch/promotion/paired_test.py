"""The statistics of promotion: is a candidate better than a champion on the same test images?

Both models answered the same images, so only images that one of them has right and the other
wrong tell them apart. What is compared is two trained models on images like these; whether one
architecture *trains* to better models than another is what confirm runs with several seeds are
for (Dietterich 1998, https://doi.org/10.1162/089976698300017197). It is a comparison of shares of
images answered right, whatever the search has optimised. Pure functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import DEFAULT_LEVEL, Interval

RESAMPLES = 10_000
"""Bootstrap resamples: ends of a 95 % interval then move by about 2 % of its width."""


@dataclass(frozen=True)
class PairedCounts:
    """Test images by who has them right.

    Attributes:
        wins: Right by the candidate alone (*b* in McNemar's table).
        losses: Right by the champion alone (*c*).
    """

    both_right: int
    wins: int
    losses: int
    both_wrong: int

    @classmethod
    def of(cls, candidate: npt.NDArray[np.bool_], champion: npt.NDArray[np.bool_]) -> Self:
        """The counts of two models.

        Args:
            candidate: (N,), whether it has each image right.
            champion: (N,), the same images in the same order.

        Raises:
            ValueError: The shapes differ.
        """
        if candidate.shape != champion.shape:
            raise ValueError(
                f"`candidate.shape == champion.shape` must hold, but got {candidate.shape} and "
                f"{champion.shape}"
            )
        return cls(
            both_right=int((candidate & champion).sum()),
            wins=int((candidate & ~champion).sum()),
            losses=int((~candidate & champion).sum()),
            both_wrong=int((~candidate & ~champion).sum()),
        )

    @property
    def num_images(self) -> int:
        """N."""
        return self.both_right + self.wins + self.losses + self.both_wrong

    @property
    def difference(self) -> float:
        """Accuracy of the candidate less that of the champion."""
        return (self.wins - self.losses) / self.num_images


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided mid-p value of McNemar's test: could the discordant images fall so by chance?

    If the models are equally good, each discordant image is a fair coin: wins ~ B(n, 1/2) with
    n = wins + losses. The exact p value is twice the smaller tail; mid-p counts the observed
    outcome half, and is 1 where nothing is discordant. The exact test is conservative (its
    level on few discordant images is often below half of what it says); mid-p stayed within the
    nominal level in all 9,595 scenarios of Fagerland, Lydersen and Laake 2013 (BMC Medical
    Research Methodology 13:91, https://doi.org/10.1186/1471-2288-13-91), who recommend it.

    Args:
        wins: Images that the candidate alone has right.
        losses: Images that the champion alone has right.
    """
    from scipy.stats import binom

    num_discordant, smaller = wins + losses, min(wins, losses)
    if wins == losses:
        return 1.0  # by symmetry; the formula below says the same, but for rounding
    tail = float(binom.cdf(smaller, num_discordant, 0.5))
    return min(1.0, 2 * tail - float(binom.pmf(smaller, num_discordant, 0.5)))


def is_better(wins: int, losses: int, significance: float) -> bool:
    """Whether McNemar's test decides in the candidate's favour."""
    return wins > losses and mcnemar(wins, losses) < significance


def difference_interval(
    counts: PairedCounts,
    generator: np.random.Generator,
    *,
    level: float = DEFAULT_LEVEL,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap interval of the difference in accuracy, candidate less champion.

    Images are resampled with both answers (Efron and Tibshirani 1993, chapter 13: percentile
    interval). Resampling N images of four kinds is one multinomial draw. As in Bonett and Price
    2012 (https://doi.org/10.3102/1076998611411915) one image of either discordant kind is added
    first: a plain bootstrap of 10,000 images without a discordant one would be certain.

    Args:
        counts: Of the images.
        generator: Of the resamples.
        level: Nominal coverage.
        resamples: How many.
    """
    total = counts.num_images + 2
    kinds = np.array([counts.wins + 1, counts.losses + 1], dtype=np.float64) / total
    drawn = generator.multinomial(total, [*kinds, 1 - kinds.sum()], size=resamples)
    differences = (drawn[:, 0] - drawn[:, 1]) / total
    tail = (1 - level) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Interval(counts.difference, float(low), float(high), level)


def more_right_needed(counts: PairedCounts, significance: float) -> int | None:
    """How many more test images the candidate would have to have right to pass; None if it cannot.

    The cheapest ones are counted: first those that the champion has right, for each of them also
    ends a loss; then those that both have wrong.
    """
    for extra in range(counts.losses + counts.both_wrong + 1):
        recovered = min(extra, counts.losses)
        wins, losses = counts.wins + extra - recovered, counts.losses - recovered
        if is_better(wins, losses, significance):
            return extra
    return None


def images_needed(counts: PairedCounts, significance: float, *, power: float = 0.8) -> int | None:
    """How many test images would show this very difference, were it the true one.

    Connor 1987 (https://doi.org/10.2307/2531961): with the share of discordant images ψ and the
    difference δ, N = (z_{α/2} √ψ + z_β √(ψ - δ²))² / δ². None without a difference in the
    candidate's favour.

    Args:
        counts: Of the images there are.
        significance: α, two-sided.
        power: 1 - β: the chance that so many images decide.
    """
    from scipy.stats import norm

    if counts.wins <= counts.losses:
        return None
    delta = counts.difference
    psi = (counts.wins + counts.losses) / counts.num_images
    z_alpha, z_beta = float(norm.isf(significance / 2)), float(norm.ppf(power))
    root = z_alpha * math.sqrt(psi) + z_beta * math.sqrt(max(0.0, psi - delta**2))
    return math.ceil((root / delta) ** 2)


def chance_accuracy(labels: npt.NDArray[np.integer]) -> float:
    """What a model reaches that knows the labels' frequencies and no image.

    Args:
        labels: (N,), one number an image.
    """
    _, frequencies = np.unique(labels, return_counts=True)
    return float(frequencies.max() / len(labels))
