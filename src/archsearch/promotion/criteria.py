"""How a candidate stands to each kind of gate: measured values and a limit in, a finding out.

What no one may set aside (the checkpoint's checksum, the export's parity and signature) is not
judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from archsearch.analysis.intervals import Interval, wilson_interval
from archsearch.promotion import paired_test as paired_test
from archsearch.promotion.paired_test import PairedCounts

GateVerdict = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True)
class Measured:
    """What was measured of a candidate.

    Attributes:
        num_right: Test images that it has right.
        num_test: Test images.
        chance: Accuracy without looking at an image.
        counts: Against the champion; None if there is none.
        difference: Interval of the difference in accuracy, candidate less champion.
        latency_ms: Median time to answer one image, on one thread of this machine.
        size_bytes: Of the exported model's files.
        params: Parameters.
        macs: Multiply-accumulates an image.
    """

    num_right: int
    num_test: int
    chance: float
    counts: PairedCounts | None
    difference: Interval | None
    latency_ms: float
    size_bytes: int
    params: int
    macs: int

    @property
    def accuracy(self) -> float:
        """On the test split."""
        return self.num_right / self.num_test

    @property
    def accuracy_interval(self) -> Interval:
        """Wilson's, 95 %."""
        return wilson_interval(self.num_right, self.num_test)


@dataclass(frozen=True)
class GateResult:
    """How a candidate stands to one gate.

    Attributes:
        measured: What the limit is compared with; None where the gate does not apply.
        told: The finding in a sentence, with its numbers.
        remedy: What would change a failure.
    """

    name: str
    limit: float
    measured: float | None
    verdict: GateVerdict
    told: str
    remedy: str | None = None


def shown(interval: Interval, signed: bool = False) -> str:
    """An interval in words."""
    form = "+.4f" if signed else ".4f"
    ends = f"{interval.low:{form}} to {interval.high:{form}}"
    return f"{interval.level * 100:.4g} % interval {ends}"


def judge_mcnemar(measured: Measured, limit: float) -> GateResult:
    """Is it better than the champion, at significance `limit`?"""
    counts = measured.counts
    if counts is None or measured.difference is None:
        return _not_applicable("mcnemar", limit)
    p = paired_test.mcnemar(counts.wins, counts.losses)
    told = (
        f"p = {p:.3g}: of {counts.num_images:,} test images the candidate alone has "
        f"{counts.wins} right, the champion alone {counts.losses}; the accuracy differs by "
        f"{counts.difference:+.4f} ({shown(measured.difference, signed=True)})"
    )
    if paired_test.is_better(counts.wins, counts.losses, limit):
        return GateResult("mcnemar", limit, p, "passed", told)
    return GateResult("mcnemar", limit, p, "failed", told, _more_evidence(counts, limit))


def _more_evidence(counts: PairedCounts, significance: float) -> str:
    """What would make McNemar's test decide for the candidate."""
    extra = paired_test.more_right_needed(counts, significance)
    if extra is None:
        told = "on so few test images no candidate could pass"
    else:
        told = f"{_images(extra)} more right would do, those that the champion has right first"
    if counts.wins <= counts.losses:
        return f"{told}; as it is, the candidate is not the better one"
    needed = paired_test.images_needed(counts, significance)
    return f"{told}; or, were this the true difference, about {needed:,} test images (power 0.8)"


def judge_gain(measured: Measured, limit: float) -> GateResult:
    """Does the interval of its gain on the champion begin at `limit` or above?"""
    counts, interval = measured.counts, measured.difference
    if counts is None or interval is None:
        return _not_applicable("gain", limit)
    told = (
        f"accuracy {counts.difference:+.4f} against the champion ({shown(interval, signed=True)})"
    )
    if interval.low >= limit:
        return GateResult("gain", limit, interval.low, "passed", told)
    missing = max(1, round((limit - interval.low) * counts.num_images + 0.5))
    remedy = f"about {_images(missing)} more right, or a limit of at most {interval.low:.4f}"
    return GateResult("gain", limit, interval.low, "failed", told, remedy)


def judge_chance(measured: Measured, limit: float) -> GateResult:
    """Is its accuracy above chance, at significance `limit`?"""
    interval = wilson_interval(measured.num_right, measured.num_test, level=1 - limit)
    told = f"{_accuracy(measured, interval)}; without looking at them {measured.chance:.4f}"
    if interval.low > measured.chance:
        return GateResult("chance", limit, interval.low, "passed", told)
    remedy = "a model that has learnt something: the search's trials were too short or too few"
    return GateResult("chance", limit, interval.low, "failed", told, remedy)


def judge_accuracy(measured: Measured, limit: float) -> GateResult:
    """Does the interval of its accuracy begin at `limit` or above?"""
    interval = measured.accuracy_interval
    told = _accuracy(measured, interval)
    if interval.low >= limit:
        return GateResult("accuracy", limit, interval.low, "passed", told)
    right = next(
        (
            n
            for n in range(measured.num_right, measured.num_test + 1)
            if wilson_interval(n, measured.num_test).low >= limit
        ),
        None,
    )
    if right is None:
        remedy = f"{measured.num_test:,} test images cannot show that much, even all right"
    else:
        remedy = f"{_images(right - measured.num_right)} more right"
    return GateResult("accuracy", limit, interval.low, "failed", told, remedy)


def _accuracy(measured: Measured, interval: Interval) -> str:
    images = f"{measured.num_right:,} of {measured.num_test:,} test images"
    return f"accuracy {measured.accuracy:.4f} ({images}, {shown(interval)})"


def at_most(
    name: str, value_of: Callable[[Measured], float], shown: Callable[[float], str], remedy: str
) -> Callable[[Measured, float], GateResult]:
    """A judge of a cost that must not be above its limit."""

    def judged(measured: Measured, limit: float) -> GateResult:
        value = value_of(measured)
        told = f"{shown(value)} (at most {shown(limit)})"
        if value <= limit:
            return GateResult(name, limit, value, "passed", told)
        return GateResult(name, limit, value, "failed", told, remedy)

    return judged


def _not_applicable(name: str, limit: float) -> GateResult:
    return GateResult(name, limit, None, "not applicable", "there is no champion to compare with")


def _images(count: int) -> str:
    return "1 test image" if count == 1 else f"{count:,} test images"
