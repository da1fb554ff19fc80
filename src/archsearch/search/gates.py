"""The gates of a promotion: named limits that a candidate must keep, and how it stands to each.

A gate is judged from measured values alone, so the judgement is a pure function of a card. What
no one may set aside (the checkpoint's checksum, the export's parity and signature) is no gate.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from archsearch.analysis import gate
from archsearch.analysis.gate import PairedCounts
from archsearch.analysis.intervals import Interval, wilson_interval
from archsearch.errors import UsageError
from archsearch.search.request import parsed_count

Verdict = Literal["passed", "failed", "not applicable"]


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
    verdict: Verdict
    told: str
    remedy: str | None = None


@dataclass(frozen=True)
class Gate:
    """One kind of gate.

    Attributes:
        meaning: Completes "a candidate passes if".
        read: The limit from its text; raises `ValueError` with what is allowed.
        judge: The result of what was measured at some limit.
        default: The limit that holds unless another is given; None if it must be asked for.
    """

    name: str
    meaning: str
    read: Callable[[str], float]
    judge: Callable[[Measured, float], GateResult]
    default: float | None = None


def parse_gates(texts: Sequence[str]) -> dict[str, float]:
    """The limits in force, by gate: the defaults, changed by `NAME=LIMIT` or `NAME=none`.

    Raises:
        UsageError: A text is none of these (all of them at once).
    """
    limits: dict[str, float | None] = {name: each.default for name, each in GATES.items()}
    seen: dict[str, str] = {}
    problems = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        known = GATES.get(name)
        if known is None:
            problems.append(f"--gate {text!r}: there is no gate {name!r}: {_nearest(name)}")
        elif not equals or not value:
            problems.append(f"--gate {text!r}: give {name}=LIMIT, or {name}=none")
        elif seen.setdefault(name, value) != value:
            problems.append(f"--gate {name} is given twice: {seen[name]} and {value}")
        elif value == "none":
            limits[name] = None
        else:
            try:
                limits[name] = known.read(value)
            except ValueError as error:
                problems.append(f"--gate {text!r}: {error}, or none")
    if problems:
        raise UsageError("; ".join(problems))
    return {name: limit for name, limit in limits.items() if limit is not None}


def judge(measured: Measured, limits: dict[str, float]) -> tuple[GateResult, ...]:
    """How a candidate stands to each gate in force."""
    return tuple(GATES[name].judge(measured, limit) for name, limit in limits.items())


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, GATES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}known: {', '.join(GATES)}"


def _number(low: float, high: float, allowed: str) -> Callable[[str], float]:
    """Reads a number strictly between two bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low < value < high:
            raise ValueError(f"give {allowed}")
        return value

    return read


def _count(text: str) -> float:
    try:
        return float(parsed_count("", text))
    except UsageError:
        raise ValueError("give a positive whole number such as 5000000, 5e6 or 5M") from None


def shown(interval: Interval, signed: bool = False) -> str:
    """An interval in words."""
    form = "+.4f" if signed else ".4f"
    ends = f"{interval.low:{form}} to {interval.high:{form}}"
    return f"{interval.level * 100:.4g} % interval {ends}"


def _judge_mcnemar(measured: Measured, limit: float) -> GateResult:
    counts = measured.counts
    if counts is None or measured.difference is None:
        return _not_applicable("mcnemar", limit)
    p = gate.mcnemar(counts.wins, counts.losses)
    told = (
        f"p = {p:.3g}: of {counts.num_images:,} test images the candidate alone has "
        f"{counts.wins} right, the champion alone {counts.losses}; the accuracy differs by "
        f"{counts.difference:+.4f} ({shown(measured.difference, signed=True)})"
    )
    if gate.is_better(counts.wins, counts.losses, limit):
        return GateResult("mcnemar", limit, p, "passed", told)
    return GateResult("mcnemar", limit, p, "failed", told, _more_evidence(counts, limit))


def _more_evidence(counts: PairedCounts, significance: float) -> str:
    """What would make McNemar's test decide for the candidate."""
    extra = gate.more_right_needed(counts, significance)
    if extra is None:
        told = "on so few test images no candidate could pass"
    else:
        told = f"{_images(extra)} more right would do, those that the champion has right first"
    if counts.wins <= counts.losses:
        return f"{told}; as it is, the candidate is not the better one"
    needed = gate.images_needed(counts, significance)
    return f"{told}; or, were this the true difference, about {needed:,} test images (power 0.8)"


def _judge_gain(measured: Measured, limit: float) -> GateResult:
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


def _judge_chance(measured: Measured, limit: float) -> GateResult:
    interval = wilson_interval(measured.num_right, measured.num_test, level=1 - limit)
    told = f"{_accuracy(measured, interval)}; without looking at them {measured.chance:.4f}"
    if interval.low > measured.chance:
        return GateResult("chance", limit, interval.low, "passed", told)
    remedy = "a model that has learnt something: the search's trials were too short or too few"
    return GateResult("chance", limit, interval.low, "failed", told, remedy)


def _judge_accuracy(measured: Measured, limit: float) -> GateResult:
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


def _at_most(
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


_SMALLER = "a smaller candidate: choose one from the leaderboard by --trial, or search under a cap"
_PROBABILITY = _number(0, 1, "a number between 0 and 1, such as 0.05")

GATES: dict[str, Gate] = {
    each.name: each
    for each in (
        Gate(
            "mcnemar",
            "it is better than the champion, McNemar's mid-p below LIMIT",
            _PROBABILITY,
            _judge_mcnemar,
            default=0.05,
        ),
        Gate(
            "chance",
            "its accuracy is above chance at significance LIMIT",
            _PROBABILITY,
            _judge_chance,
            default=0.05,
        ),
        Gate(
            "gain",
            "the 95 % interval of its gain on the champion begins at LIMIT or above; negative "
            "for a smaller model that may lose a little",
            _number(-1, 1, "a difference in accuracy between -1 and 1, such as -0.005"),
            _judge_gain,
        ),
        Gate(
            "accuracy",
            "the 95 % interval of its test accuracy begins at LIMIT or above",
            _number(0, 1, "an accuracy between 0 and 1, such as 0.95"),
            _judge_accuracy,
        ),
        Gate(
            "latency_ms",
            "it answers one image in LIMIT milliseconds (median, one thread of this machine)",
            _number(0, 1e9, "positive milliseconds, such as 5"),
            _at_most("latency_ms", lambda e: e.latency_ms, lambda v: f"{v:.3g} ms", _SMALLER),
        ),
        Gate(
            "size_mib",
            "its exported files take at most LIMIT MiB",
            _number(0, 1e9, "positive MiB, such as 20"),
            _at_most(
                "size_mib", lambda e: e.size_bytes / 2**20, lambda v: f"{v:.4g} MiB", _SMALLER
            ),
        ),
        Gate(
            "params",
            "it has at most LIMIT parameters, such as 5M",
            _count,
            _at_most("params", lambda e: e.params, lambda v: f"{v:,.0f} parameters", _SMALLER),
        ),
        Gate(
            "macs",
            "an image takes it at most LIMIT multiply-accumulates, such as 50M",
            _count,
            _at_most("macs", lambda e: e.macs, lambda v: f"{v:,.0f} MACs", _SMALLER),
        ),
    )
}
"""Every gate, in the order in which they are judged and told."""
