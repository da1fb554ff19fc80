"""Many simulated searches, and what they say together: is what we report true?"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from archsearch.analysis.audit import FamilyAudit, audit
from archsearch.analysis.intervals import Interval, wilson_interval
from archsearch.analysis.members import Budget
from archsearch.analysis.verdict import Verdict, verdict
from archsearch.objective import Objective
from archsearch.record.trial import incumbent
from archsearch.simulation.curves import World
from archsearch.simulation.search import Setting, SimulatedSearch, simulate
from archsearch.simulation.synthetic import SyntheticWorld


@dataclass(frozen=True)
class SimulationOutcome:
    """What one simulated search came to.

    Attributes:
        seed: Its own.
        best: Accuracy and family of the best fully trained trial, or None.
        epochs: Trained in all.
        warned: Families of which a person was warned while it ran.
    """

    objective: Objective
    seed: int
    seconds: float
    device_hours: float
    epochs: int
    outcomes: dict[str, int]
    best: tuple[float, str] | None
    verdict: Verdict
    audit: dict[str, FamilyAudit]
    warned: tuple[str, ...]

    @property
    def unfair(self) -> tuple[str, ...]:
        """Families that the audit at the end finds to be treated unfairly."""
        return tuple(family for family, one in self.audit.items() if one.unfair is not None)

    def as_json(self) -> dict[str, Any]:
        """The finding as one JSON object."""
        fields = {
            k: v
            for k, v in vars(self).items()
            if k not in ("objective", "verdict", "audit", "best")
        }
        best = (
            None
            if self.best is None
            else {self.objective.metric: self.best[0], "family": self.best[1]}
        )
        return fields | {
            "best": best,
            "verdict": self.verdict.as_json(),
            "audit": {family: one.as_json() for family, one in self.audit.items()},
            "unfair": self.unfair,
        }


def outcome_of(search: SimulatedSearch, budget: Budget = "macs") -> SimulationOutcome:
    """Verdict, audit and cost of one simulated search."""
    ladder, trials = search.setting.ladder, search.trials
    best = incumbent(trials)
    return SimulationOutcome(
        objective=search.setting.objective,
        seed=search.setting.seed,
        seconds=search.seconds,
        device_hours=search.device_seconds / 3600,
        epochs=sum(len(trial.epochs) for trial in trials),
        outcomes=dict(Counter(trial.outcome or "unfinished" for trial in trials)),
        best=None if best is None else (best.value or 0.0, best.family),
        verdict=verdict(trials, budget=budget, seed=search.setting.seed),
        audit=audit(trials, ladder.rungs, ladder.reduction_factor),
        warned=search.warned_of,
    )


def simulate_many(
    setting: Setting, world: World, searches: int, budget: Budget = "macs"
) -> Iterator[SimulationOutcome]:
    """One finding a search, with seeds from the setting's on; a synthetic world's luck follows.

    Raises:
        UnfitError: No member of the space is feasible in this world.
    """
    for seed in range(setting.seed, setting.seed + searches):
        own = replace(world, seed=seed) if isinstance(world, SyntheticWorld) else world
        yield outcome_of(simulate(replace(setting, seed=seed), own), budget)


@dataclass(frozen=True)
class PairTruth:
    """One pair of families of known truth, over many searches.

    Attributes:
        truth: How often a member of `first` beats one of `second` at equal cost.
        num_told: Searches with an interval for it.
        coverage: How often the interval held the truth; None if there was none.
    """

    first: str
    second: str
    truth: float
    num_told: int
    coverage: Interval | None


@dataclass(frozen=True)
class FamilyTotals:
    """The audits of one family, over many searches.

    Attributes:
        num_trials: As the other counts, the sum over all audits.
        num_told: Audits with control trials enough for rates.
        num_shadow_stopped: Control trials that the rule would have stopped, in those audits.
        num_wrongly_stopped: Those of them that ended among the best of their family.
        wrong_rate: The share of them, or None.
        kendall_tau: Rung → mean of the correlations that were told.
        num_unfair: Audits that found it to be treated unfairly.
        num_warned: Searches in which a person was warned of that while they ran.
    """

    family: str
    num_trials: int
    num_stopped: int
    num_control: int
    num_told: int
    num_shadow_stopped: int
    num_wrongly_stopped: int
    wrong_rate: Interval | None
    kendall_tau: dict[int, float]
    epochs_trained: int
    epochs_saved: int
    num_unfair: int
    num_warned: int


@dataclass(frozen=True)
class Summary:
    """What many simulated searches say together.

    Attributes:
        searches: How many.
        seconds: Mean simulated time of one.
        device_hours: Mean of one.
        epochs: Mean number trained in one.
        best: Mean accuracy of the best trial, over those that have one.
        best_family: Family of the best trial → how many searches.
        verdicts: Winner → how many searches; `undecided` for those without.
        false_verdicts: Share of searches whose winner is not truly better than every other
            family, with a Wilson interval; None where the truth is not known.
        pairs: Coverage of the intervals; empty where the truth is not known.
        families: The audits, by family.
    """

    searches: int
    seconds: float
    device_hours: float
    epochs: float
    best: float | None
    best_family: dict[str, int]
    verdicts: dict[str, int]
    false_verdicts: Interval | None
    pairs: tuple[PairTruth, ...]
    families: dict[str, FamilyTotals]

    def as_json(self) -> dict[str, Any]:
        """The summary as one JSON object."""
        return asdict(self)


def summarise(outcomes: Sequence[SimulationOutcome], world: World) -> Summary:
    """All findings together; at least one.

    Raises:
        ValueError: There is none.
    """
    if not outcomes:
        raise ValueError("`findings` must hold at least one finding, but it is empty")
    best = [one.best for one in outcomes if one.best is not None]
    known = world if isinstance(world, SyntheticWorld) else None
    return Summary(
        searches=len(outcomes),
        seconds=statistics.fmean(one.seconds for one in outcomes),
        device_hours=statistics.fmean(one.device_hours for one in outcomes),
        epochs=statistics.fmean(one.epochs for one in outcomes),
        best=statistics.fmean(accuracy for accuracy, _ in best) if best else None,
        best_family=_counted(family for _, family in best),
        verdicts=_counted(one.verdict.winner or "undecided" for one in outcomes),
        false_verdicts=None if known is None else _false_verdicts(outcomes, known),
        pairs=() if known is None else tuple(_pairs(outcomes, known)),
        families={f: _totals(f, outcomes) for f in sorted(_families(outcomes))},
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _families(outcomes: Sequence[SimulationOutcome]) -> set[str]:
    return {family for one in outcomes for family in one.audit}


def _totals(family: str, outcomes: Sequence[SimulationOutcome]) -> FamilyTotals:
    audits = [one.audit[family] for one in outcomes if family in one.audit]
    told = [one for one in audits if one.is_enough]
    num_shadow = sum(one.num_shadow_stopped for one in told)
    num_wrong = sum(one.num_wrongly_stopped for one in told)
    taus: dict[int, list[float]] = {}
    for rung in (rung for one in audits for rung in one.rungs):
        if rung.kendall_tau is not None:
            taus.setdefault(rung.rung_epochs, []).append(rung.kendall_tau)
    return FamilyTotals(
        family=family,
        num_trials=sum(one.num_trials for one in audits),
        num_stopped=sum(one.num_stopped for one in audits),
        num_control=sum(one.num_control for one in audits),
        num_told=len(told),
        num_shadow_stopped=num_shadow,
        num_wrongly_stopped=num_wrong,
        wrong_rate=wilson_interval(num_wrong, num_shadow) if num_shadow else None,
        kendall_tau={rung: statistics.fmean(values) for rung, values in sorted(taus.items())},
        epochs_trained=sum(one.epochs_trained for one in audits),
        epochs_saved=sum(one.epochs_saved for one in audits),
        num_unfair=sum(one.unfair is not None for one in audits),
        num_warned=sum(family in one.warned for one in outcomes),
    )


def _false_verdicts(outcomes: Sequence[SimulationOutcome], world: SyntheticWorld) -> Interval:
    wrong = sum(
        one.verdict.winner is not None and not _is_best(one.verdict.winner, world)
        for one in outcomes
    )
    return wilson_interval(wrong, len(outcomes))


def _is_best(family: str, world: SyntheticWorld) -> bool:
    """Whether the family truly beats every other one at equal cost."""
    others = [other for other in world.families if other != family]
    return all(world.superiority(family, other) > 0.5 for other in others)


def _pairs(outcomes: Sequence[SimulationOutcome], world: SyntheticWorld) -> Iterator[PairTruth]:
    names = sorted(world.families)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            truth = world.superiority(first, second)
            met = [one.verdict.between(first, second) for one in outcomes]
            told = [pair.share for pair in met if pair is not None and pair.share is not None]
            held = sum(share.holds(truth) for share in told)
            coverage = wilson_interval(held, len(told)) if told else None
            yield PairTruth(first, second, truth, len(told), coverage)
