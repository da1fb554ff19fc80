"""The policies that a replay can compare: ours, those of others, and plain ones."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from archsearch.errors import UsageError, nearest_names
from archsearch.objective import ACCURACY
from archsearch.record.policy import Policy, SamplerName, SchedulerName
from archsearch.search.choices import SAMPLERS, STOPPING_RULES
from archsearch.simulation.curve_table import CurveTable
from archsearch.simulation.peers import OptunaRule, OptunaTpe, RayRule, RayTpe
from archsearch.simulation.replay import Decisions, TrainedEpoch


class ReplayPolicy(Protocol):
    """A way of searching."""

    def replay(
        self, table: CurveTable, workers: int, seed: int, num_epochs: int
    ) -> list[TrainedEpoch]:
        """The epochs that one search trains, in the order in which they end.

        Args:
            table: Whose rows are what can be trained; each at most once, epoch after epoch.
            workers: Trials at a time.
            seed: The search's; the same seed gives the same epochs.
            num_epochs: Its budget; fewer only when nothing is left to train.
        """
        ...


@dataclass(frozen=True)
class OfProduct:
    """What a search under this policy does. Equal policies make equal searches."""

    policy: Policy

    def replay(
        self, table: CurveTable, workers: int, seed: int, num_epochs: int
    ) -> list[TrainedEpoch]:
        """See `ReplayPolicy.replay`."""
        decisions = Decisions(
            sampler=SAMPLERS[self.policy.sampler],
            stopping_rule=lambda ladder, seed: STOPPING_RULES[self.policy.scheduler](
                ladder, ACCURACY
            ),
            random_share=self.policy.random_share,
            control_share=self.policy.control_share,
        )
        return decisions.replay(table, workers, seed, num_epochs)


@dataclass(frozen=True)
class OneEpochFirst:
    """All rows for one epoch, in a random order; then the best of them to their ends."""

    def replay(
        self, table: CurveTable, workers: int, seed: int, num_epochs: int
    ) -> list[TrainedEpoch]:
        """See `ReplayPolicy.replay`."""
        order = [int(row) for row in np.random.default_rng(seed).permutation(table.num_rows)]
        trained = [TrainedEpoch(row, 1) for row in order[:num_epochs]]
        finite = [row for row in order if np.isfinite(table.curves[row, 0])]
        ranked = iter(sorted(finite, key=lambda row: -table.curves[row, 0]))
        running = [(table.seconds[row], row, 2) for row in islice(ranked, workers)]
        heapq.heapify(running)
        while running and len(trained) < num_epochs:
            now, row, epoch = heapq.heappop(running)
            goes_on = epoch < table.max_epochs and np.isfinite(table.curves[row, epoch - 1])
            if epoch <= table.max_epochs:
                trained.append(TrainedEpoch(row, epoch))
            if goes_on:
                heapq.heappush(running, (now + table.seconds[row], row, epoch + 1))
            elif (following := next(ranked, None)) is not None:
                heapq.heappush(running, (now + table.seconds[following], following, 2))
        return trained


def _without_arms(sampler: SamplerName, scheduler: SchedulerName) -> OfProduct:
    policy = Policy(sampler=sampler, scheduler=scheduler, random_share=0, control_share=0)
    return OfProduct(policy)


_SHIPPED_0_1 = Policy(sampler="tpe", scheduler="stopping", random_share=0.1, control_share=0.05)

REPLAY_POLICIES: Mapping[str, tuple[ReplayPolicy, str]] = {
    "default": (OfProduct(Policy()), "what a search does without options"),
    "shipped-0.1": (OfProduct(_SHIPPED_0_1), "the default of release 0.1.0"),
    "uniform": (_without_arms("uniform", "stopping"), "uniform draws under our rungs, no arms"),
    "full": (_without_arms("uniform", "none"), "uniform draws, each trained to its end"),
    "one-epoch": (OneEpochFirst(), "all for one epoch, then the best to their ends"),
    "ray": (
        Decisions(RayTpe, lambda ladder, seed: RayRule(ladder.max_epochs)),
        "Ray Tune's ASHA and OptunaSearch, defaults",
    ),
    "optuna": (
        Decisions(OptunaTpe, lambda ladder, seed: OptunaRule(ladder.max_epochs, f"study-{seed}")),
        "Optuna's TPE and Hyperband, defaults",
    ),
}
"""Name → policy, and what it is for a person."""


def replay_policy(name: str) -> ReplayPolicy:
    """The policy of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in REPLAY_POLICIES:
        raise UsageError(f"there is no policy {name!r}: {nearest_names(name, REPLAY_POLICIES)}")
    return REPLAY_POLICIES[name][0]
