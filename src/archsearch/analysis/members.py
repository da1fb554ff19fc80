"""Which trials a verdict rests on, what each of them is worth and what it cost.

Only the random arm: its trials were drawn uniformly within their family and never stopped, so
they are a fair sample of the family as the space describes it. What the sampler proposed is not:
it goes where values are high, and early stopping hides where the rest would have ended.

Where a search went on in a wider space, a family's draws of before are a fair sample of what the
family was, not of what it is; they count where nothing that is drawn in that family has changed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from archsearch.errors import UsageError
from archsearch.record.cells import SearchIdentity
from archsearch.record.trial import Outcome, TrialRecord

Budget = Literal["params", "macs", "seconds"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)

LOST: frozenset[Outcome] = frozenset({"diverged", "out_of_memory", "infeasible"})
"""Outcomes that are the variant's own: who draws it gets nothing, so it is below any other."""


NARROWER = "narrower space"

_ALWAYS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Member:
    """One random member of a family, trained to its end.

    Attributes:
        number: The trial's.
        family: The trial's.
        score: Of the objective at full fidelity, of which higher is better; minus infinity for
            one that was lost.
        cost: Parameters, multiply-accumulates of one image, or seconds of full training; > 0.
        device_seconds: What training it took.
    """

    number: int
    family: str
    score: float
    cost: float
    device_seconds: float

    @property
    def is_lost(self) -> bool:
        """Whether it diverged, ran out of memory or could not be built."""
        return self.score == -math.inf


@dataclass(frozen=True)
class Population:
    """The random arm of one family.

    Attributes:
        family: Its name.
        members: Those that count, by number.
        left_out: Why others do not count, and how many: `unfinished`, `failed` (a fault of the
            machine or of user code says nothing about the variant), `no cost` (lost before an
            epoch was timed, where cost is training time) or `narrower space` (drawn before the
            family had all the members that it has now).
    """

    family: str
    members: tuple[Member, ...]
    left_out: dict[str, int]

    @property
    def num_lost(self) -> int:
        """Members that count as worse than any that was trained to its end."""
        return sum(member.is_lost for member in self.members)


def checked_budget(text: str) -> Budget:
    """What can be matched, by its name.

    Raises:
        UsageError: It is none of `BUDGETS`.
    """
    for budget in BUDGETS:
        if text == budget:
            return budget
    raise UsageError(f"--budget {text!r}: costs that can be matched are {', '.join(BUDGETS)}")


def drawn_since(identity: SearchIdentity, families: Iterable[str]) -> dict[str, int]:
    """The first trial of each family that was drawn as the space of today draws.

    Args:
        identity: Of the search; its `earlier_spaces` tell what was searched before.
        families: Of the search.
    """
    since = dict.fromkeys(families, 0)
    for earlier in identity.earlier_spaces:
        # Earlier releases did not write down what changed: anything may have.
        for family in tuple(since) if earlier.redrawn is None else earlier.redrawn:
            since[family] = earlier.num_trials
    return since


def populations(
    trials: Sequence[TrialRecord], budget: Budget, since: Mapping[str, int] = _ALWAYS
) -> dict[str, Population]:
    """The random arm by family, for every family that has any trial; by family name.

    Args:
        trials: All trials of the search.
        budget: What they cost.
        since: See `drawn_since`; families that it does not name always were what they are.

    Raises:
        UsageError: `budget` is none of `BUDGETS`.
    """
    checked_budget(budget)
    families = sorted({trial.family for trial in trials if trial.arm != "confirm"})
    return {
        family: _population(
            family, [t for t in trials if t.family == family], budget, since.get(family, 0)
        )
        for family in families
    }


def _population(
    family: str, trials: Iterable[TrialRecord], budget: Budget, since: int
) -> Population:
    members, left_out = [], Counter[str]()
    for trial in sorted((t for t in trials if t.arm == "random"), key=lambda t: t.number):
        score, cost = _final_score(trial), cost_of(trial, budget)
        if trial.number < since:
            left_out[NARROWER] += 1
        elif score is None:
            left_out["failed" if trial.outcome == "failed" else "unfinished"] += 1
        elif cost is None:
            left_out["no cost"] += 1
        else:
            members.append(Member(trial.number, family, score, cost, device_seconds(trial)))
    return Population(family, tuple(members), dict(left_out))


def _final_score(trial: TrialRecord) -> float | None:
    """What the trial ended with; None if that is not known (a stop hides it, too)."""
    if trial.outcome in LOST:
        return -math.inf
    return trial.score if trial.outcome == "completed" else None


def device_seconds(trial: TrialRecord) -> float:
    """Seconds of training and validation that its recorded epochs took, as workers timed them."""
    return sum(epoch.result.seconds for epoch in trial.epochs)


def cost_of(trial: TrialRecord, budget: Budget) -> float | None:
    """Parameters, MACs, or the seconds that all epochs take at the pace of those recorded.

    None where there is nothing to divide by: no epoch was timed, or a count is 0.
    """
    if budget == "seconds":
        seconds = device_seconds(trial)
        cost = seconds / max(len(trial.epochs), 1) * trial.config.max_epochs
    else:
        cost = float(getattr(trial.complexity, budget))
    return cost if cost > 0 else None
