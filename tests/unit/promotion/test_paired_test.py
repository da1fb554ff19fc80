"""The statistics of promotion: published examples, scipy's own, and what they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from archsearch.promotion.paired_test import (
    PairedCounts,
    chance_accuracy,
    difference_interval,
    images_needed,
    is_better,
    mcnemar,
    more_right_needed,
)

# Fagerland, Lydersen and Laake 2013, tables 1, 2 and 5: discordant pairs, mid-p.
PUBLISHED = [(1, 7, 0.0391), (6, 16, 0.0347)]


@pytest.mark.parametrize(("wins", "losses", "mid_p"), PUBLISHED)
def test_mid_p_is_the_published_one(wins: int, losses: int, mid_p: float) -> None:
    assert mcnemar(wins, losses) == pytest.approx(mid_p, abs=5e-5)
    assert mcnemar(losses, wins) == mcnemar(wins, losses)


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (5, 0), (3, 8), (40, 60), (700, 640)])
def test_mid_p_is_the_exact_test_less_half_of_what_was_seen(wins: int, losses: int) -> None:
    n = wins + losses
    exact = binomtest(wins, n).pvalue
    assert mcnemar(wins, losses) == pytest.approx(exact - binom.pmf(wins, n, 0.5))


def test_equal_models_are_not_told_apart() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(12, 12) == 1.0


def test_mid_p_uses_the_level_that_the_exact_test_wastes() -> None:
    """Enumerated: how often models that are equally good are told apart, either way, at 5 %."""
    for n in (6, 12, 25, 50, 200):
        chances = binom.pmf(np.arange(n + 1), n, 0.5)
        told_apart = [min(mcnemar(w, n - w), 1.0) < 0.05 for w in range(n + 1)]
        exact = [binomtest(w, n).pvalue < 0.05 for w in range(n + 1)]
        level, exact_level = float(chances[told_apart].sum()), float(chances[exact].sum())
        assert exact_level <= level
        # Given n, mid-p can be above; over the n that a test split gives it is not.
        assert level < 0.065


def test_the_level_over_test_splits_of_360_images_is_nominal() -> None:
    """Enumerated over how many images are discordant, for several shares of them."""
    for share in (0.01, 0.03, 0.1, 0.3):
        level = 0.0
        counts = np.arange(361)
        for n, chance in zip(counts, binom.pmf(counts, 360, share), strict=True):
            if chance > 1e-9:
                w = np.arange(n + 1)
                told = [is_better(int(k), int(n - k), 0.05) for k in w]
                level += 2 * chance * float(binom.pmf(w[told], n, 0.5).sum())
        assert level <= 0.05


def test_only_a_better_candidate_is_better() -> None:
    assert is_better(16, 6, 0.05)
    assert not is_better(6, 16, 0.05)
    assert not is_better(16, 6, 0.03)


def test_counts_pair_images() -> None:
    candidate = np.array([True, True, True, False, False, False])
    champion = np.array([True, False, False, True, False, False])
    counts = PairedCounts.of(candidate, champion)
    assert counts == PairedCounts(both_right=1, wins=2, losses=1, both_wrong=2)
    assert counts.num_images == 6
    assert counts.difference == pytest.approx(1 / 6)
    with pytest.raises(ValueError, match="shape"):
        PairedCounts.of(candidate, champion[:5])


@pytest.mark.parametrize(
    ("num_images", "wins", "losses"),
    [(360, 0.002, 0.002), (360, 0.02, 0.005), (360, 0.03, 0.03), (10_000, 0.02, 0.015)],
)
def test_the_interval_covers_the_true_difference(
    num_images: int, wins: float, losses: float
) -> None:
    """At least 95 % of 2,000 simulated splits, less four standard deviations of that share."""
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(num_images, [wins, losses, 1 - wins - losses], size=2000)
    covered = 0
    for won, lost, same in drawn:
        counts = PairedCounts(int(same), int(won), int(lost), 0)
        interval = difference_interval(counts, generator, resamples=400)
        covered += interval.holds(wins - losses)
    assert covered / 2000 > 0.95 - 4 * (0.95 * 0.05 / 2000) ** 0.5


def test_no_discordant_image_is_no_certainty() -> None:
    counts = PairedCounts(9_900, 0, 0, 100)
    interval = difference_interval(counts, np.random.default_rng(0))
    assert interval.low < 0 < interval.high
    assert interval.estimate == 0


def test_the_interval_follows_the_difference_and_its_seed() -> None:
    counts = PairedCounts(300, 40, 5, 15)
    first = difference_interval(counts, np.random.default_rng(3))
    assert first == difference_interval(counts, np.random.default_rng(3))
    assert first.low < counts.difference == first.estimate < first.high
    # The textbook's standard error: sqrt(p10 + p01 - (p10 - p01)^2) / sqrt(N).
    error = (45 / 360 - (35 / 360) ** 2) ** 0.5 / 360**0.5
    assert (first.high - first.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    "counts",
    [
        PairedCounts(340, 6, 2, 12),
        PairedCounts(340, 2, 6, 12),
        PairedCounts(350, 0, 0, 10),
        PairedCounts(300, 30, 30, 0),
    ],
)
def test_so_many_more_right_would_do_and_one_less_would_not(counts: PairedCounts) -> None:
    needed = more_right_needed(counts, 0.05)
    assert needed is not None
    assert needed > 0
    for extra in (needed - 1, needed):
        ways = [
            (counts.wins + extra - recovered, counts.losses - recovered)
            for recovered in range(min(extra, counts.losses) + 1)
            if extra - recovered <= counts.both_wrong + recovered
        ]
        assert any(is_better(w, c, 0.05) for w, c in ways) == (extra == needed)


def test_where_no_candidate_could_pass_none_is_said() -> None:
    assert more_right_needed(PairedCounts(356, 0, 0, 4), 0.05) is None
    assert more_right_needed(PairedCounts(350, 9, 0, 1), 0.05) == 0


def test_the_images_needed_decide_as_often_as_they_should() -> None:
    """Connor's size against a simulation: power 0.8 within 4 standard deviations and 2 %."""
    counts = PairedCounts(330, 12, 6, 12)
    needed = images_needed(counts, 0.05)
    assert needed is not None
    generator = np.random.default_rng(0)
    share = [12 / 360, 6 / 360, 342 / 360]
    drawn = generator.multinomial(needed, share, size=2000)
    power = np.mean([is_better(int(w), int(c), 0.05) for w, c, _ in drawn])
    assert power == pytest.approx(0.8, abs=0.056)
    assert images_needed(PairedCounts(330, 6, 12, 12), 0.05) is None


def test_chance_knows_the_most_frequent_label() -> None:
    assert chance_accuracy(np.array([0, 1, 1, 2])) == 0.5
