"""The gates of a promotion: named limits that a candidate must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archsearch.errors import UsageError, nearest_names
from archsearch.promotion.criteria import (
    GateResult,
    Measured,
    at_most,
    judge_accuracy,
    judge_chance,
    judge_gain,
    judge_mcnemar,
)
from archsearch.search.parsing import parsed_count


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
            hint = nearest_names(name, GATES)
            problems.append(f"--gate {text!r}: there is no gate {name!r}: {hint}")
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


_SMALLER = "a smaller candidate: choose one from the leaderboard by --trial, or search under a cap"
_PROBABILITY = _number(0, 1, "a number between 0 and 1, such as 0.05")

GATES: dict[str, Gate] = {
    each.name: each
    for each in (
        Gate(
            "mcnemar",
            "it is better than the champion, McNemar's mid-p below LIMIT",
            _PROBABILITY,
            judge_mcnemar,
            default=0.05,
        ),
        Gate(
            "chance",
            "its accuracy is above chance at significance LIMIT",
            _PROBABILITY,
            judge_chance,
            default=0.05,
        ),
        Gate(
            "gain",
            "the 95 % interval of its gain on the champion begins at LIMIT or above; negative "
            "for a smaller model that may lose a little",
            _number(-1, 1, "a difference in accuracy between -1 and 1, such as -0.005"),
            judge_gain,
        ),
        Gate(
            "accuracy",
            "the 95 % interval of its test accuracy begins at LIMIT or above",
            _number(0, 1, "an accuracy between 0 and 1, such as 0.95"),
            judge_accuracy,
        ),
        Gate(
            "latency_ms",
            "it answers one image in LIMIT milliseconds (median, one thread of this machine)",
            _number(0, 1e9, "positive milliseconds, such as 5"),
            at_most("latency_ms", lambda e: e.latency_ms, lambda v: f"{v:.3g} ms", _SMALLER),
        ),
        Gate(
            "size_mib",
            "its exported files take at most LIMIT MiB",
            _number(0, 1e9, "positive MiB, such as 20"),
            at_most(
                "size_mib", lambda e: e.size_bytes / 2**20, lambda v: f"{v:.4g} MiB", _SMALLER
            ),
        ),
        Gate(
            "params",
            "it has at most LIMIT parameters, such as 5M",
            _count,
            at_most("params", lambda e: e.params, lambda v: f"{v:,.0f} parameters", _SMALLER),
        ),
        Gate(
            "macs",
            "an image takes it at most LIMIT multiply-accumulates, such as 50M",
            _count,
            at_most("macs", lambda e: e.macs, lambda v: f"{v:,.0f} MACs", _SMALLER),
        ),
    )
}
"""Every gate, in the order in which they are judged and told."""
