"""Means of a few groups of a few values, corrected for the groups having been ranked by them.

The largest of several noisy means is, on average, above its own truth, for it was chosen for its
luck as well (the winner's curse), and the smallest is below. For known truths and noise the bias
of each rank could be simulated; the parametric bootstrap simulates it at estimated ones and takes
it off (Simon & Simon 2013, arXiv:1311.3709, "On estimating many means, selection bias, and the
bootstrap"; order-specific bias correction).

Around the means as they are, it would correct half of what it should where the truths are equal,
for the means are spread wider than the truths. So it is done around shrunken means. Their model is

    value of group i ~ Normal(truth_i, sigma^2),   truth_i ~ Normal(mu, tau^2),

mu and log(sigma) flat, tau half-Cauchy in units of sigma / sqrt(n), n the harmonic mean of the
groups' sizes; that is, the shrinkage factor B = sigma^2 / (sigma^2 + n tau^2) ~ Beta(1/2, 1/2):
proper, and good both for equal truths and for distant ones (Polson & Scott 2012, Bayesian Analysis
7:887). The James-Stein factor would not do: it needs four groups. mu, sigma and the truths are
integrated in closed form, as in the one-way model of random effects (Box & Tiao 1973, chapter 7),
and B on a grid.

The values are accuracies on a sample of images, the same one for all groups. Over and above the
noise, a mean is off by its luck with that sample, and more values do not take that away. Its
variance is at most accuracy (1 - accuracy) / images, the binomial one, which it has where all
values of a group are right on the same images; that is added to each mean's variance, and the
interval is Student's with the degrees of freedom of Satterthwaite (1946, Biometrics Bulletin
2:110). The accuracy is taken as (right + 2) / (images + 4), so that one of 1 is not certain
(Agresti & Coull 1998, Am. Stat. 52:119). Which images a value was wrong
on is not recorded, so how alike the groups' luck is must be assumed: networks err on the same
images far more than by chance (Mania et al. 2019, arXiv:1905.12580), and `SHARED` of that variance
is taken to be common to all groups. What is common moves all truths alike, and leaves the
probabilities of being best alone. `python -m benchmarks.verdicts` measures what comes of it.

The shrunken means themselves would be the other way to take the curse back (Efron & Morris 1975),
and were tried: with two or three groups and seeds they take off too much where a winner stands
apart. Of 2 to 5 groups of 2 or 3 values, with truths spread by 0 to 8 sigma (1,500 races each),
the winner's bias is within 0.11 sigma here, up to 0.66 for plain means and up to 0.62 for shrunken
ones, and the 95 % intervals hold its truth in 94 to 97 % of the races.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import DEFAULT_LEVEL, Interval

Floats = npt.NDArray[np.float64]

SHARED = 0.5
"""Share of the images' variance that all groups have in common; less is more cautious."""

_GRID = 400
_DRAWS = 10_000


def corrected_means(
    groups: Sequence[Sequence[float]],
    *,
    resolution: float = 0.0,
    num_images: int | None = None,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
) -> list[Interval]:
    """Each group's mean without the bias of its rank, and an interval of its truth.

    The interval is Student's around the corrected mean, with the noise pooled over the groups.
    A correction never brings a group above one that has a larger mean. Without two values in any
    group nothing tells noise from difference: then the shrunken means stand (they take half of
    every difference for luck) and the intervals are the whole line. A single group is not
    corrected, for it was not chosen among others.

    Args:
        groups: The values of each group, at least one in each.
        resolution: The step between two neighbouring values that can be measured. Equal values
            do not prove that there is no noise: it is taken to be at least the spread of
            rounding, `resolution` / sqrt(12).
        num_images: The size of the sample of images; None for an interval of the accuracy on this
            very sample.
        level: Of the intervals.
        seed: Of the bootstrap, whose error is below 0.01 of a mean's standard error.

    Raises:
        ValueError: There is no group, or one without a value.
    """
    data = _Groups.of(groups, resolution)
    posterior = _posterior(data)
    if data.degrees == 0:
        whole_line = (-np.inf, np.inf)
        return [Interval(float(m), *whole_line, level) for m in posterior.means]
    corrected = data.means - _rank_biases(data, posterior.means, seed)
    order = np.argsort(-data.means, kind="stable")
    corrected[order] = np.minimum.accumulate(corrected[order])
    from scipy.stats import t

    noise, luck = data.standard_errors**2, _luck_with_images(data.means, num_images)
    degrees = data.degrees * ((noise + luck) / noise) ** 2
    reach = t.ppf((1 + level) / 2, degrees) * np.sqrt(noise + luck)
    return [
        Interval(float(middle), float(middle - half), float(middle + half), level)
        for middle, half in zip(corrected, reach, strict=True)
    ]


def probabilities_of_best(
    groups: Sequence[Sequence[float]],
    *,
    resolution: float = 0.0,
    num_images: int | None = None,
    seed: int = 0,
) -> list[float]:
    """How probable it is, for each group, that its truth is the highest; they add up to 1.

    By 10,000 draws from the posterior of the model above: good to 0.01.

    Args:
        groups: As for `corrected_means`.
        resolution: As there.
        num_images: As there.
        seed: Of the draws.

    Raises:
        ValueError: There is no group, or one without a value.
    """
    data = _Groups.of(groups, resolution)
    if data.num_values == data.num_groups == 1:
        return [1.0]
    posterior = _posterior(data)
    generator = np.random.default_rng(seed)
    point = generator.choice(len(posterior.weights), _DRAWS, p=posterior.weights)
    chi_squares = generator.chisquare(data.num_values - 1, _DRAWS)
    sigma = np.sqrt(posterior.sums[point] / chi_squares)[:, None]
    lost = posterior.lost[point]
    # The grand mean is off by the same amount for every group of a draw.
    shift = generator.standard_normal((_DRAWS, 1)) / posterior.grand_precision[point, None] ** 0.5
    own = generator.standard_normal(lost.shape) * np.sqrt((1 - lost) / data.sizes)
    truths = posterior.centres[point] + sigma * (lost * shift + own)
    apart = np.sqrt((1 - SHARED) * _luck_with_images(data.means, num_images))
    truths = truths + generator.standard_normal(lost.shape) * apart
    wins = np.bincount(truths.argmax(axis=1), minlength=data.num_groups)
    return [float(count) / _DRAWS for count in wins]


def _luck_with_images(means: Floats, num_images: int | None) -> Floats:
    """(k,) variance of each mean over samples of images, at most."""
    if num_images is None:
        return np.zeros_like(means)
    shrunk = (np.clip(means, 0.0, 1.0) * num_images + 2) / (num_images + 4)
    variance: Floats = shrunk * (1 - shrunk) / num_images
    return variance


@dataclass(frozen=True, eq=False)
class _Groups:
    """What of the values matters.

    Attributes:
        sizes: (k,) values in each group.
        means: (k,) of the groups.
        within: Sum of squares within the groups.
    """

    sizes: Floats
    means: Floats
    within: float

    @classmethod
    def of(cls, groups: Sequence[Sequence[float]], resolution: float) -> _Groups:
        if not groups or not all(len(group) for group in groups):
            told = [len(group) for group in groups] or "none"
            raise ValueError(f"every group must have a value, but their sizes are {told}")
        values = [np.asarray(group, dtype=np.float64) for group in groups]
        sizes = np.array([len(group) for group in values], dtype=np.float64)
        means = np.array([group.mean() for group in values])
        within = sum(float(((v - v.mean()) ** 2).sum()) for v in values)
        least = float(sizes.sum()) * resolution**2 / 12
        # Above 0 even where all values are equal and may be anything: then they are the answer.
        return cls(sizes, means, max(within, least, float(np.finfo(np.float64).tiny)))

    @property
    def num_groups(self) -> int:
        return len(self.sizes)

    @property
    def num_values(self) -> int:
        return int(self.sizes.sum())

    @property
    def degrees(self) -> int:
        """Of freedom of the noise's estimate."""
        return self.num_values - self.num_groups

    @property
    def standard_errors(self) -> Floats:
        """(k,) of the means, noise pooled."""
        errors: Floats = np.sqrt(self.within / self.degrees / self.sizes)
        return errors


@dataclass(frozen=True, eq=False)
class _Posterior:
    """The truths' joint distribution, as a mixture over G shrinkage factors.

    Attributes:
        weights: (G,) probabilities.
        centres: (G, k) of each truth.
        lost: (G, k) share of a group's deviation from the grand mean that is taken for luck, B_i.
        grand_precision: (G,) of the grand mean, in units of 1 / sigma^2.
        sums: (G,) sums of squares: sigma^2 is these by a chi-square of N - 1 degrees of freedom.
    """

    weights: Floats
    centres: Floats
    lost: Floats
    grand_precision: Floats
    sums: Floats

    @property
    def means(self) -> Floats:
        """(k,) of the truths."""
        means: Floats = self.weights @ self.centres
        return means


def _posterior(data: _Groups) -> _Posterior:
    sizes, means = data.sizes, data.means
    # B = sin(angle)^2 with the angle uniform in (0, pi / 2) is Beta(1/2, 1/2).
    factor = np.sin((np.arange(_GRID) + 0.5) / _GRID * np.pi / 2) ** 2
    typical_size = len(sizes) / (1 / sizes).sum()
    ratio = (1 - factor) / (factor * typical_size)  # tau^2 / sigma^2
    precision = 1 / (1 / sizes + ratio[:, None])
    grand_precision = precision.sum(axis=1)
    grand = precision @ means / grand_precision
    sums = data.within + (precision * (means - grand[:, None]) ** 2).sum(axis=1)
    log_weights = (
        np.log(precision).sum(axis=1)
        - np.log(grand_precision)
        - (data.num_values - 1) * np.log(sums)
    ) / 2
    weights = np.exp(log_weights - log_weights.max())
    lost = precision / sizes
    return _Posterior(
        weights=weights / weights.sum(),
        centres=means + lost * (grand[:, None] - means),
        lost=lost,
        grand_precision=grand_precision,
        sums=sums,
    )


def _rank_biases(data: _Groups, truths: Floats, seed: int) -> Floats:
    """(k,) by how much a mean exceeds its truth on average, where it has its group's rank."""
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal((_DRAWS // 2, data.num_groups)) * data.standard_errors
    errors = np.concatenate([drawn, -drawn])  # of mean 0, as they should be
    ranked = np.argsort(-(truths + errors), axis=1, kind="stable")
    by_rank = np.take_along_axis(errors, ranked, axis=1).mean(axis=0)
    biases = np.empty(data.num_groups)
    biases[np.argsort(-data.means, kind="stable")] = by_rank
    return biases
