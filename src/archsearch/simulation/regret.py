"""What a replayed search found for its epochs, and how policies compare.

Regret is the best accuracy that the table has after its last epoch, less the accuracy after the
last epoch of the search's answer. The answer within a budget is the best trial that was trained
to its end within it. A search that has none must finish its leader within the budget: it goes on
until what is left of the budget is just enough to train the trial with the best last accuracy to
its end, which is its answer. A search without even that has found an accuracy of 0.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archsearch.simulation.curve_table import CurveTable
from archsearch.simulation.policies import ReplayPolicy, replay_policy
from archsearch.simulation.replay import TrainedEpoch

BUDGETS = (5, 10, 20, 50)
"""Budgets at which regret is told, in full trainings."""

COMPARED_AT = 20
"""The budget at which searches of one seed are compared, or the nearest one below."""

REFERENCE = "uniform"
"""The policy that others have to beat."""


@dataclass(frozen=True)
class ReplayedSearch:
    """One search.

    Attributes:
        seed: Its own.
        regret: Budget in full trainings → regret in accuracy.
        arm_share: Share of the epochs that were trained only because an arm of the audit let the
            trial go on: those after the rung at which the stopping rule had stopped it.
    """

    seed: int
    regret: Mapping[int, float]
    arm_share: float


@dataclass(frozen=True)
class PolicyResult:
    """All searches of one policy on one table.

    Attributes:
        table: Its name.
        policy: Its name.
        workers: Trials at a time.
        searches: One a seed, from 0 on.
        wins: Seeds with less regret than the reference at `COMPARED_AT`.
        losses: Seeds with more.
    """

    table: str
    policy: str
    workers: int
    searches: Sequence[ReplayedSearch]
    wins: int
    losses: int

    @property
    def budgets(self) -> tuple[int, ...]:
        """At which regret is told."""
        return tuple(self.searches[0].regret)

    def regret(self, budget: int) -> float:
        """The mean over seeds."""
        return statistics.fmean(search.regret[budget] for search in self.searches)

    def interval(self, budget: int) -> tuple[float, float] | None:
        """Where the mean lies over other seeds: 95 %, by Student's t; None for one search."""
        if len(self.searches) < 2:
            return None
        from scipy.stats import t

        half = float(t.ppf(0.975, len(self.searches) - 1)) * self.standard_error(budget)
        return self.regret(budget) - half, self.regret(budget) + half

    def standard_error(self, budget: int) -> float:
        """Of the mean over seeds; NaN for one search."""
        if len(self.searches) < 2:
            return math.nan
        values = [search.regret[budget] for search in self.searches]
        return statistics.stdev(values) / math.sqrt(len(values))

    @property
    def arm_share(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(search.arm_share for search in self.searches)

    def as_json(self) -> dict[str, object]:
        """One JSON object."""
        return {
            "table": self.table,
            "policy": self.policy,
            "workers": self.workers,
            "searches": len(self.searches),
            "regret": {str(budget): self.regret(budget) for budget in self.budgets},
            "interval": {str(budget): self.interval(budget) for budget in self.budgets},
            "arm_share": self.arm_share,
            "wins": self.wins,
            "losses": self.losses,
        }


def compare(
    table: CurveTable,
    policies: Sequence[str],
    *,
    workers: int = 4,
    trainings: int = 50,
    searches: int = 40,
) -> Iterator[PolicyResult]:
    """One result a policy, in the order given; seeds from 0 on, the same for all.

    Raises:
        UsageError: A policy is unknown.
        ValueError: A number is below 1.
    """
    if min(workers, trainings, searches) < 1:
        raise ValueError(
            f"`workers`, `trainings`, `searches` >= 1 must hold, but got "
            f"({workers}, {trainings}, {searches})"
        )
    for policy in policies:
        replay_policy(policy)
    budgets = tuple(b for b in BUDGETS if b <= trainings) or (trainings,)
    compared = max((b for b in budgets if b <= COMPARED_AT), default=budgets[0])
    known: dict[ReplayPolicy, list[ReplayedSearch]] = {}  # equal policies search alike

    def searched(name: str, upto: Sequence[int]) -> list[ReplayedSearch]:
        policy = replay_policy(name)
        if policy not in known:
            known[policy] = [
                replayed(table, policy, workers, seed, upto) for seed in range(searches)
            ]
        return known[policy]

    theirs = searched(REFERENCE, budgets if REFERENCE in policies else (compared,))
    for policy in policies:
        ours = searched(policy, budgets)
        pairs = [
            (one.regret[compared], other.regret[compared])
            for one, other in zip(ours, theirs, strict=True)
        ]
        wins = sum(one < other for one, other in pairs)
        losses = sum(one > other for one, other in pairs)
        yield PolicyResult(table.name, policy, workers, ours, wins, losses)


def replayed(
    table: CurveTable, policy: ReplayPolicy, workers: int, seed: int, budgets: Sequence[int]
) -> ReplayedSearch:
    """One search, and its regret at each budget (in full trainings)."""
    num_epochs = max(budgets) * table.max_epochs
    trained = policy.replay(table, workers, seed, num_epochs)
    regret = {b: table.best - answer(table, trained, b * table.max_epochs) for b in budgets}
    num_beyond = sum(epoch.is_beyond_stop for epoch in trained)
    return ReplayedSearch(seed, regret, num_beyond / max(len(trained), 1))


def answer(table: CurveTable, trained: Sequence[TrainedEpoch], num_epochs: int) -> float:
    """The accuracy after the last epoch of what the search answers within so many epochs."""
    last = table.max_epochs
    ends = [table.curves[e.row, -1] for e in trained[:num_epochs] if e.epoch == last]
    finite = [float(end) for end in ends if math.isfinite(end)]
    if finite:
        return max(finite)
    reached: dict[int, tuple[float, int]] = {}
    leader = None
    for spent, epoch in enumerate(trained[:num_epochs], start=1):
        value = float(table.curves[epoch.row, epoch.epoch - 1])
        if math.isfinite(value):
            reached[epoch.row] = (value, epoch.epoch)
        else:
            reached.pop(epoch.row, None)
        best = max(reached, key=lambda row: reached[row][0], default=None)
        if best is not None and spent + last - reached[best][1] <= num_epochs:
            leader = best
    end = float(table.curves[leader, -1]) if leader is not None else 0.0
    return end if math.isfinite(end) else 0.0
