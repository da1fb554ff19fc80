"""Which trials nothing beats: a better value always costs more than theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from archsearch.analysis.members import device_seconds
from archsearch.record.trial import TrialRecord

Cost = Literal["params", "macs", "seconds"]


@dataclass(frozen=True)
class CostAxis:
    """A cost that the objective is weighed against."""

    title: str
    of: Callable[[TrialRecord], float | None]


COSTS: dict[Cost, CostAxis] = {
    "params": CostAxis("Parameters", lambda trial: trial.complexity.params),
    "macs": CostAxis("Multiply-accumulates an image", lambda t: t.complexity.macs),
    "seconds": CostAxis("Seconds of training", lambda trial: device_seconds(trial) or None),
}


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Indices of the points that no other point beats, by rising cost.

    Point i is beaten by j if j costs no more and is worth no less, and is strictly better in one
    of the two. Of equal points the first one stays. What is not finite is left out.

    Args:
        costs: The smaller the better.
        values: The larger the better.
    """
    finite = [i for i in range(len(costs)) if math.isfinite(costs[i]) and math.isfinite(values[i])]
    front: list[int] = []
    best = -math.inf
    for i in sorted(finite, key=lambda i: (costs[i], -values[i], i)):
        if values[i] > best:
            front.append(i)
            best = values[i]
    return front


def front_of(trials: Sequence[TrialRecord], cost: Cost) -> list[TrialRecord]:
    """The completed trials that no other completed trial beats, by rising cost."""
    rated = [
        (trial, price, trial.score)
        for trial in trials
        if trial.outcome == "completed"
        and trial.score is not None
        and (price := COSTS[cost].of(trial)) is not None
    ]
    front = pareto_front([price for _, price, _ in rated], [value for _, _, value in rated])
    return [rated[i][0] for i in front]
