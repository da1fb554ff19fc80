"""Is a family stopped for being slow, not for being weak?

Rungs compare all families with each other. Where learning curves of families cross, the rungs
put one below the others that ends level with them or above, and early stopping takes it out of
the search without a word. Every trial that was never stopped can tell: both arms that are trained
to the end whatever the rule says (control and random) are used, since the question is how curves
run, not what the sampler proposes.

A family is treated unfairly at a rung when, among all those trials,

1. it wins fewer than half of its pairs with other families' trials there,
2. but at least half of them at the end,
3. and its trials rise in rank from there to the end by more than other families' do (a one-sided
   Mann-Whitney test of the rises, Bonferroni-corrected for families and rungs),
4. and the rule would have stopped a larger share of it than of the others.

Trials that were lost (diverged, out of memory) are left out: how often a family's members come to
nothing is no question of how fast it learns.

Rungs know less than the end, so a strong family's lead grows and a weak one's shrinks on its way
without any crossing: that alone fulfils 3, and is what 1 and 2 exclude. Where families run alike,
3 is exact, so fewer than `SIGNIFICANCE` of all searches are accused wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsearch.analysis.agreement import Outcome, outcomes
from archsearch.halving.arms import PROTECTED_ARMS
from archsearch.record.trial import TrialRecord

SIGNIFICANCE = 0.05
"""How many of the searches without unfairness may be told of one."""

FIRST_LOOK = 10
"""Fully trained trials, over all families, before a running search is looked at."""


@dataclass(frozen=True)
class Unfairness:
    """One family at one rung, against all others together.

    Attributes:
        family: Its name.
        rung_epochs: The rung.
        num_trials: Never-stopped trials of the family that were trained to their end.
        num_others: Those of all other families.
        share_at_rung: Pairs with the others that the family wins there, ties half.
        share_at_end: Pairs that it wins at full fidelity.
        num_shadow_stopped: Trials of the family that the rule would have stopped, at any rung.
        num_others_shadow_stopped: Those of the others.
        p_value: Of the rise in rank, one-sided, not corrected.
        threshold: What `p_value` must not exceed: the level, corrected.
    """

    family: str
    rung_epochs: int
    num_trials: int
    num_others: int
    share_at_rung: float
    share_at_end: float
    num_shadow_stopped: int
    num_others_shadow_stopped: int
    p_value: float
    threshold: float

    @property
    def is_significant(self) -> bool:
        """Whether all four conditions hold."""
        is_stopped_more = (
            self.num_shadow_stopped * self.num_others
            > self.num_others_shadow_stopped * self.num_trials
        )
        is_crossed = self.share_at_rung < 0.5 <= self.share_at_end
        return is_crossed and is_stopped_more and self.p_value <= self.threshold

    @property
    def sentence(self) -> str:
        """What a person should know, and what to do."""
        return (
            f"{self.family} is being stopped unfairly: after epoch {self.rung_epochs} its trials "
            f"beat other families' in {100 * self.share_at_rung:.0f} % of pairs, at the end in "
            f"{100 * self.share_at_end:.0f} % (p = {self.p_value:.2g}, {self.num_trials} against "
            f"{self.num_others} trials that are never stopped); the rule would have stopped "
            f"{self.num_shadow_stopped} of these {self.num_trials}. It learns more slowly, not "
            "worse: search with a longer `fidelity: grace_period_epochs`, or one family a search"
        )


def unfairness_by_family(
    trials: Sequence[TrialRecord], rungs: Sequence[int], level: float = SIGNIFICANCE
) -> list[Unfairness]:
    """Each family's worst rung, by family name, significant or not.

    Families without a protected trial that was trained to its end are left out, and so is a
    search of one family or without rungs.

    Args:
        trials: All trials of the search.
        rungs: The decision rungs.
        level: How many searches without unfairness may be told of one.
    """
    known = _trained(trials, rungs)
    families = sorted({one.family for one in known})
    if len(families) < 2:
        return []
    threshold = level / (len(families) * max(len(rungs), 1))
    worst = []
    for family in families:
        found = [_at_rung(known, family, rung, threshold) for rung in rungs]
        if found:
            worst.append(min(found, key=lambda u: (not u.is_significant, u.p_value)))
    return worst


def unfair_families(trials: Sequence[TrialRecord], rungs: Sequence[int]) -> list[Unfairness]:
    """The families that a *running* search stops unfairly; to be asked after each trial's end.

    It looks when the never-stopped trials that were trained to their end are 10, 20, 40, … and
    spends half of what is left of `SIGNIFICANCE` at each look, so that asking often accuses
    nobody more often.
    """
    num_known = len(_trained(trials, ()))
    level = _level_of_look(num_known)
    if level is None:
        return []
    return [u for u in unfairness_by_family(trials, rungs, level) if u.is_significant]


def _trained(trials: Sequence[TrialRecord], rungs: Sequence[int]) -> list[Outcome]:
    """The trials that were never stopped and are trained to their end."""
    known = outcomes([t for t in trials if t.arm in PROTECTED_ARMS], rungs)
    return [one for one in known if one.is_trained]


def _level_of_look(num_known: int) -> float | None:
    """What the look at so many trials may spend; None if there is no look."""
    look, rest = divmod(num_known, FIRST_LOOK)
    is_power_of_two = look > 0 and look & (look - 1) == 0
    return SIGNIFICANCE / (2 * look) if rest == 0 and is_power_of_two else None


def _at_rung(known: Sequence[Outcome], family: str, rung: int, threshold: float) -> Unfairness:
    from scipy.stats import mannwhitneyu, rankdata

    own = np.array([one.family == family for one in known])
    at_rung = rankdata([one.at_rung[rung] for one in known])
    at_end = rankdata([one.final for one in known])
    rises = at_end - at_rung
    p_value = mannwhitneyu(rises[own], rises[~own], alternative="greater").pvalue
    stopped = np.array([one.shadow_rung_epochs is not None for one in known])
    return Unfairness(
        family=family,
        rung_epochs=rung,
        num_trials=int(own.sum()),
        num_others=int((~own).sum()),
        share_at_rung=_share(at_rung, own),
        share_at_end=_share(at_end, own),
        num_shadow_stopped=int(stopped[own].sum()),
        num_others_shadow_stopped=int(stopped[~own].sum()),
        p_value=float(p_value),
        threshold=threshold,
    )


def _share(ranks: npt.NDArray[np.float64], own: npt.NDArray[np.bool_]) -> float:
    """Pairs that the family wins, from midranks: the Mann-Whitney U over all pairs."""
    num_own, num_others = int(own.sum()), int((~own).sum())
    return float((ranks[own].sum() - num_own * (num_own + 1) / 2) / (num_own * num_others))


class FairnessWatch:
    """Looks after a running search and accuses each family at most once."""

    def __init__(self, rungs: Sequence[int]) -> None:
        self._rungs = tuple(rungs)
        self._told: set[str] = set()
        self._num_known: int | None = None

    def after(self, ended: TrialRecord, trials: Sequence[TrialRecord]) -> list[Unfairness]:
        """What a trial's end has brought to light; nothing for one that may be stopped.

        All trials are read at the first end and at a look, not at each end.
        """
        if ended.arm not in PROTECTED_ARMS or not self._rungs:
            return []
        if self._num_known is None:
            self._num_known = len(_trained(trials, ()))
        else:
            self._num_known += len(_trained([ended], ()))
        if _level_of_look(self._num_known) is None:
            return []
        found = [u for u in unfair_families(trials, self._rungs) if u.family not in self._told]
        self._told.update(u.family for u in found)
        return found
