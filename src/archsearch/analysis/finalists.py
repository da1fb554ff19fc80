"""Which trials of a search are trained again, and what that says: its finalists and its winner.

A search's best trial is the best of many noisy results, so its accuracy flatters it. Its
finalists are therefore trained again, from scratch and to the end, with seeds of their own. What
is said of them rests on these confirm runs alone: the search's own run of a finalist was selected
on, and enters nothing.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archsearch.analysis.intervals import Interval
from archsearch.errors import UsageError
from archsearch.objective import DEFAULT, Objective
from archsearch.record.trial import TrialRecord, confirm_runs, leaderboard, search_trials

ESTIMATOR = "mean of the confirm runs, bootstrap-corrected for its rank (Simon & Simon 2013)"
"""What the estimates are, in a few words for a caption; see `winners_curse`."""

OWN_FAILURES = ("diverged", "out_of_memory", "infeasible")
"""Outcomes of a confirm run that speak against the variant; a lost worker does not."""

_MAX_FINALISTS, _MAX_SEEDS = 100, 100


@dataclass(frozen=True)
class ConfirmSpec:
    """How a search ends.

    Attributes:
        num_best: How many of the best trials are trained again.
        num_seeds: How many times each finalist is.
    """

    num_best: int
    num_seeds: int

    def __str__(self) -> str:
        return f"{self.num_best}x{self.num_seeds}"


def parse_confirm(text: str) -> ConfirmSpec | None:
    """`3x3` as 3 finalists and 3 seeds each; None for `none`.

    Raises:
        UsageError: The text is neither.
    """
    if text == "none":
        return None
    match = re.fullmatch(r"([1-9]\d{0,2})[x×]([1-9]\d{0,2})", text)
    if match is None or int(match[1]) > _MAX_FINALISTS or int(match[2]) > _MAX_SEEDS:
        raise UsageError(
            f"give FINALISTSxSEEDS such as 3x3 (the best 3, trained again with 3 seeds each), at "
            f"most {_MAX_FINALISTS}x{_MAX_SEEDS}, or none"
        )
    return ConfirmSpec(int(match[1]), int(match[2]))


def finalists(trials: Sequence[TrialRecord], spec: ConfirmSpec) -> list[TrialRecord]:
    """The best completed trials, then the best of each family at matched cost, if not among them.

    A family's best may be good because it was allowed to be large. At matched cost means within
    the MACs that every family has reached: the smallest of the families' largest completed
    trials. A family all of whose completed trials are above that has none there.

    Args:
        trials: Of one search; its confirm runs are left out.
        spec: `spec.num_best` of the best trials are taken.
    """
    board = leaderboard(list(trials))
    chosen = board[: spec.num_best]
    return chosen + [t for t in best_at_matched_cost(board) if t not in chosen]


def best_at_matched_cost(board: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The best trial of each family within the MACs that every family has reached.

    Args:
        board: Completed trials, best first.
    """
    largest: dict[str, int] = {}
    for trial in board:
        largest[trial.family] = max(largest.get(trial.family, 0), _macs(trial))
    limit = min(largest.values(), default=0)
    best: dict[str, TrialRecord] = {}
    for trial in board:
        if _macs(trial) <= limit:
            best.setdefault(trial.family, trial)
    return list(best.values())


def missing_runs(
    trials: Sequence[TrialRecord], spec: ConfirmSpec | None
) -> list[tuple[TrialRecord, int]]:
    """The confirm runs that are still to be started, as finalist and replicate (from 0).

    Every finalist gets its first run before any gets its second: whatever ends the phase early
    leaves them equally well known. A finalist that a longer search has overtaken keeps its runs.
    """
    if spec is None:
        return []
    issued = Counter(run.config_digest for run in confirm_runs(trials))
    chosen = finalists(trials, spec)
    return [
        (finalist, replicate)
        for replicate in range(spec.num_seeds)
        for finalist in chosen
        if replicate >= issued[finalist.config_digest]
    ]


def is_confirmed(trials: Sequence[TrialRecord], spec: ConfirmSpec | None) -> bool:
    """Whether all confirm runs that `spec` asks for have ended, and there is one at all."""
    runs = confirm_runs(trials)
    return bool(runs) and all(r.is_finished for r in runs) and not missing_runs(trials, spec)


@dataclass(frozen=True)
class Confirmed:
    """What the confirm runs of one finalist say.

    Attributes:
        finalist: The search's own run.
        runs: Its confirm runs, by number, whatever became of them.
        mean: Of the values of the completed ones; None without any.
        estimate: Of the objective's value that the variant is trained to, whatever the seed and
            whichever images it is validated on, with a 95 % interval; None without a completed
            run. See `confirmed`.
        probability_best: That the variant is the best of the finalists that were confirmed.
        num_wanted: Its runs when the search is complete; those there are, where that is unknown.
        covers_images: Whether the interval covers other images, too, and not other seeds alone.
    """

    finalist: TrialRecord
    runs: tuple[TrialRecord, ...]
    mean: float | None
    estimate: Interval | None
    probability_best: float
    num_wanted: int = 0
    covers_images: bool = False

    @property
    def name(self) -> str:
        """The variant's published-style name."""
        return self.finalist.name

    @property
    def completed(self) -> list[TrialRecord]:
        """The runs that the estimate rests on."""
        return _completed(self.runs)

    @property
    def unsuccessful(self) -> list[TrialRecord]:
        """The runs that ended without a result, by number."""
        return [r for r in self.runs if r.is_finished and r.outcome != "completed"]

    @property
    def fails_by_itself(self) -> bool:
        """Whether a run ended early for a reason that lies in the variant."""
        return any(run.outcome in OWN_FAILURES for run in self.runs)


def confirmed(
    trials: Sequence[TrialRecord], *, num_images: int | None = None, num_seeds: int = 0
) -> list[Confirmed]:
    """What the confirm runs say of each finalist that has any, best first.

    The mean of a finalist's runs is unbiased for that finalist, but the largest mean is not for
    the one that has it (the winner's curse). So the bias of each rank is estimated by parametric
    bootstrap and taken off (Simon & Simon 2013, arXiv:1311.3709; `winners_curse` has the model),
    with the scatter of seeds pooled over the finalists. It was preferred to the conditional
    estimator of Andrews, Kitagawa & McCloskey (2024, Q. J. Econ. 139:305), which wants the noise
    known (here four to nine runs must tell it) and has no bounded intervals for a close race.

    All runs are judged on the same validation images, a sample: the intervals cover that, too, and
    the probabilities of being best take what the finalists share of it for shared.

    What it cannot correct: the finalists were selected on these images. The test split is there
    for that.

    A finalist with a run that diverged, ran out of memory or could not be built stands behind
    those without: its completed runs are its lucky ones. Of equals the cheaper is first.

    Args:
        trials: All of a search.
        num_images: Its validation images; None covers seeds alone.
        num_seeds: Confirm runs that each finalist is to have.
    """
    by_digest = {t.config_digest: t for t in reversed(search_trials(trials))}
    groups: dict[str, list[TrialRecord]] = {}
    for run in sorted(confirm_runs(trials), key=lambda r: r.number):
        if run.config_digest in by_digest:
            groups.setdefault(run.config_digest, []).append(run)
    known = {d: _values(runs) for d, runs in groups.items() if _completed(runs)}
    objective = trials[0].objective if trials else DEFAULT
    if objective.name != DEFAULT.name:
        num_images = None  # only a share of images has a variance that follows from its value
    estimates, chances = _estimated(known, _resolution(trials), objective, num_images)
    told = [
        Confirmed(
            finalist=by_digest[digest],
            runs=tuple(runs),
            mean=sum(known[digest]) / len(known[digest]) if digest in known else None,
            estimate=estimates.get(digest),
            probability_best=chances.get(digest, 0.0),
            num_wanted=max(num_seeds, len(runs)),
            covers_images=num_images is not None,
        )
        for digest, runs in groups.items()
    ]
    return sorted(told, key=_place)


def winner(trials: Sequence[TrialRecord]) -> Confirmed | None:
    """The finalist with the best confirmed estimate; None before one has a completed run."""
    return leader_of(confirmed(trials))


def leader_of(board: Sequence[Confirmed]) -> Confirmed | None:
    """The first of the finalists; None before one has a completed run."""
    return board[0] if board and board[0].estimate is not None else None


def winner_model(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The run whose network is used: the winner's confirm run that is best on validation images.

    The winner is a variant, what is promoted is one network. Any rule that looks at validation
    images alone leaves the test split fair for it, and of networks that are trained alike the one
    with the higher validation accuracy is, if anything, the better one: nothing is gained by
    promoting the middle one. What the variant reaches on average is the estimate's to say, not
    this network's. The search's own run is not among them: it was selected out of many more, so
    its validation accuracy says less. Of equal runs the one with the lower validation loss is
    taken, then the earlier.

    Returns:
        None where there is no winner.
    """
    best = winner(trials)
    if best is None:
        return None
    return min(
        best.completed,
        key=lambda run: (run.objective.sort_key(run.value), _val_loss(run), run.number),
    )


def _estimated(
    known: dict[str, list[float]],
    resolution: float,
    objective: Objective,
    num_images: int | None,
) -> tuple[dict[str, Interval], dict[str, float]]:
    """Estimates and probabilities of being best by digest, for those with completed runs."""
    if not known:
        return {}, {}
    from archsearch.analysis.winners_curse import corrected_means, probabilities_of_best

    # The curse is the largest value's: of an objective to be minimised it is that of its scores.
    values = [[objective.score(value) for value in runs] for runs in known.values()]
    means = corrected_means(values, resolution=resolution, num_images=num_images)
    chances = probabilities_of_best(values, resolution=resolution, num_images=num_images)
    inside = [_of_values(mean, objective) for mean in means]
    return dict(zip(known, inside, strict=True)), dict(zip(known, chances, strict=True))


def _of_values(mean: Interval, objective: Objective) -> Interval:
    """An interval of scores as one of values, which lie within the objective's bounds."""
    ends = sorted(objective.clip(objective.value_of(end)) for end in (mean.low, mean.high))
    return Interval(objective.value_of(mean.estimate), ends[0], ends[1], mean.level)


def _place(entry: Confirmed) -> tuple[bool, bool, float, int, int]:
    return (
        entry.mean is None,
        entry.fails_by_itself,
        entry.finalist.objective.sort_key(entry.mean),
        _macs(entry.finalist),
        entry.finalist.number,
    )


def _completed(runs: Iterable[TrialRecord]) -> list[TrialRecord]:
    return [r for r in runs if r.outcome == "completed" and r.value is not None]


def _values(runs: Iterable[TrialRecord]) -> list[float]:
    return [run.value for run in _completed(runs) if run.value is not None]


def _resolution(trials: Iterable[TrialRecord]) -> float:
    """The smallest step between two values: of accuracies one image, as good as always."""
    values = sorted({e.value for trial in trials for e in trial.epochs if e.value is not None})
    steps = [b - a for a, b in itertools.pairwise(values)]
    # Shares of the same number of images do not differ by less, but for floating point.
    return min((step for step in steps if step > 1e-9), default=0.0)


def _macs(trial: TrialRecord) -> int:
    return trial.complexity.macs


def _val_loss(run: TrialRecord) -> float:
    loss = run.epochs[-1].result.val_loss
    return loss if math.isfinite(loss) else math.inf
