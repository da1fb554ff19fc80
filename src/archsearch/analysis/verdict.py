"""Which family wins at matched cost: distributions, not two winners; or that nobody can tell yet.

**Estimand.** For families A and B of a space: the probability that a member of A, drawn as the
random arm draws (uniformly within the family, training fields included), ends with a better
value of the objective at full fidelity than such a member of B *that costs the same*; equal
values count half. "The same" is within a factor of `edf.CALIPER` in parameters, in MACs of one
image or in seconds of full training, nearer pairs weighing more (`edf.nearness`). Costs at which
both families have members weigh by how many pairs they give. One half means that neither is
better; it says nothing of the best member that a search can find in either.

**Who counts.** The random arm alone, as far as it was drawn from the space of today, see
`members`. A member that diverged, ran out of memory or
could not be built counts, as worse than any other; unfinished and failed trials do not, and are
told. What the sampler found is shown as the best of its family and marked.

**Decision.** A family wins when its bootstrap interval against each other family lies above one
half. A running search is looked at again and again, and is made longer until somebody wins: so the
intervals hold the truth at all looks together (`looks`), and `python -m benchmarks.verdicts` says
how often a verdict is false at any of them. For the family that leads, no correction for the
number of families is needed beyond the two-sided level: Gutmann & Maymin 1987, "Is the selected
population the best?", Ann. Stat. 15:456.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from archsearch.analysis.edf import Edf, edf_of, matched_weights
from archsearch.analysis.intervals import DEFAULT_LEVEL
from archsearch.analysis.members import Budget, Population, device_seconds, populations
from archsearch.analysis.plan_more import More, more_needed
from archsearch.analysis.superiority import MIN_MEMBERS, Contest, Superiority, contest
from archsearch.analysis.verdict_text import verdict_sentence
from archsearch.objective import DEFAULT, Objective, called_by_metric
from archsearch.record.trial import TrialRecord, incumbent


@dataclass(frozen=True)
class BestOfFamily:
    """The best completed trial of a family, whoever proposed it: no part of the verdict.

    Attributes:
        number: The trial's.
        name: The variant's.
        arm: Who proposed it.
        objective: What the value is of.
        value: The best of many readings, so too good by a little (winner's curse).
    """

    number: int
    name: str
    arm: str
    objective: Objective
    value: float

    @property
    def is_from_sampler(self) -> bool:
        """Whether the sampler found it: then it tells of the sampler as much as of the family."""
        return self.arm in ("sampler", "control")


@dataclass(frozen=True)
class FamilyDistribution:
    """One family's share in a verdict.

    Attributes:
        family: Its name.
        num_members: Random trials that count.
        num_lost: Those among them that diverged, ran out of memory or could not be built.
        left_out: Random trials that do not count, by reason.
        edf: Distribution of the error at matched cost.
        best: The best of the family over all arms, or None.
    """

    family: str
    num_members: int
    num_lost: int
    left_out: dict[str, int]
    edf: Edf
    best: BestOfFamily | None


@dataclass(frozen=True)
class Verdict:
    """What a search's random arm says about its families at matched cost.

    Attributes:
        budget: What is matched.
        sentence: One sentence that a person can quote.
        winner: The family that wins, or None while the data cannot tell.
        leader: The family that most likely beats all others, where anything can be said.
        probability: That `leader` beats all others it was compared with; None without a leader.
        families: By name, every family of the search.
        pairs: The families that were compared, each pair once.
        more: What it would take to tell; None when it is told, or when nothing can tell.
        level: Of all intervals; of those between families over all looks together.
    """

    budget: Budget
    sentence: str
    winner: str | None
    leader: str | None
    probability: float | None
    families: dict[str, FamilyDistribution]
    pairs: tuple[Superiority, ...]
    more: More | None
    level: float

    @property
    def is_decided(self) -> bool:
        """Whether a family wins."""
        return self.winner is not None

    def between(self, first: str, second: str) -> Superiority | None:
        """`first` against `second`, or None if they were not compared."""
        try:
            return Contest(self.pairs, {}).between(first, second)
        except KeyError:
            return None

    def as_json(self) -> dict[str, Any]:
        """The verdict as one JSON object."""
        return asdict(self, dict_factory=called_by_metric) | {"is_decided": self.is_decided}


def verdict(
    trials: Sequence[TrialRecord],
    *,
    budget: Budget = "macs",
    since: Mapping[str, int] | None = None,
    seed: int = 0,
    level: float = DEFAULT_LEVEL,
) -> Verdict:
    """The verdict on the families of a search, finished or not.

    Args:
        trials: All trials of the search.
        budget: What is matched.
        since: Family to the first trial that was drawn from the space of today, for a search
            whose space has become wider; see `members.drawn_since`.
        seed: Of the bootstrap.
        level: Of the intervals, and so of the decision.

    Raises:
        UsageError: `budget` is unknown.
        ValueError: `0 < level < 1` does not hold.
    """
    if not 0 < level < 1:
        raise ValueError(f"`0 < level < 1` must hold, but got level={level}")
    arms = populations(trials, budget, since or {})
    generator = np.random.default_rng(seed)
    compared = {f: p.members for f, p in arms.items() if len(p.members) >= MIN_MEMBERS}
    outcome = contest(compared, generator, level=level)
    leader, winner = _leader(outcome), outcome.winner
    more = None if winner else more_needed(arms, outcome, leader, _seconds_each(trials), level)
    return Verdict(
        budget=budget,
        sentence=verdict_sentence(budget, arms, outcome, leader, winner, more),
        winner=winner,
        leader=leader,
        probability=None if leader is None else outcome.lead[leader],
        families=_distributions(trials, arms, generator, level),
        pairs=outcome.pairs,
        more=more,
        level=level,
    )


def _leader(outcome: Contest) -> str | None:
    return max(outcome.lead, key=lambda family: outcome.lead[family], default=None)


def _distributions(
    trials: Sequence[TrialRecord],
    arms: dict[str, Population],
    generator: np.random.Generator,
    level: float,
) -> dict[str, FamilyDistribution]:
    objective = trials[0].objective if trials else DEFAULT
    weights = matched_weights([np.array([m.cost for m in p.members]) for p in arms.values()])
    return {
        family: FamilyDistribution(
            family=family,
            num_members=len(arm.members),
            num_lost=arm.num_lost,
            left_out=arm.left_out,
            edf=edf_of(arm.members, own, generator, objective, level=level),
            best=_best(trials, family),
        )
        for (family, arm), own in zip(arms.items(), weights, strict=True)
    }


def _best(trials: Sequence[TrialRecord], family: str) -> BestOfFamily | None:
    best = incumbent([trial for trial in trials if trial.family == family])
    if best is None or best.value is None:
        return None
    return BestOfFamily(best.number, best.name, best.arm, best.objective, best.value)


def _seconds_each(trials: Sequence[TrialRecord]) -> float | None:
    """Device seconds of one random trial on average; of a full training if there was none."""
    random = [t for t in trials if t.arm == "random" and t.is_finished and t.epochs]
    full = [t for t in trials if t.outcome == "completed" and t.arm != "confirm"]
    seconds = [device_seconds(t) for t in random or full]
    return math.fsum(seconds) / len(seconds) if seconds else None
