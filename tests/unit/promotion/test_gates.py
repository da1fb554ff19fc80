"""Gates: how limits are read, and how a candidate stands to them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from archsearch.errors import UsageError
from archsearch.promotion.criteria import GateResult, Measured
from archsearch.promotion.gates import GATES, judge, parse_gates
from archsearch.promotion.paired_test import PairedCounts, difference_interval
from pipeline.promote import app

DEFAULTS = {"mcnemar": 0.05, "chance": 0.05}


def measured(wins: int = 20, losses: int = 2, right: int = 340) -> Measured:
    counts = PairedCounts(right - wins, wins, losses, 360 - right - losses)
    return Measured(
        num_right=right,
        num_test=360,
        chance=0.11,
        counts=counts,
        difference=difference_interval(counts, np.random.default_rng(0)),
        latency_ms=2.5,
        size_bytes=3 * 2**20,
        params=270_000,
        macs=2_500_000,
    )


def judged(evidence: Measured, *gates: str) -> dict[str, GateResult]:
    return {result.name: result for result in judge(evidence, parse_gates(gates))}


def test_without_options_the_defaults_hold_and_none_lifts_them() -> None:
    assert parse_gates([]) == DEFAULTS
    assert parse_gates(["mcnemar=none"]) == {"chance": 0.05}
    assert parse_gates(["mcnemar=0.01", "mcnemar=0.01"]) == DEFAULTS | {"mcnemar": 0.01}
    assert parse_gates(["mcnemar=none", "chance=none"]) == {}


def test_limits_are_read_in_the_units_that_their_names_say() -> None:
    given = ["latency_ms=5", "size_mib=20", "params=5M", "macs=2.5e6", "gain=-0.005"]
    limits = parse_gates([*given, "accuracy = 0.9"])
    assert limits == DEFAULTS | {
        "gain": -0.005,
        "accuracy": 0.9,
        "latency_ms": 5,
        "size_mib": 20,
        "params": 5_000_000,
        "macs": 2_500_000,
    }


def test_all_that_is_wrong_with_gates_is_told_at_once() -> None:
    with pytest.raises(UsageError) as told:
        parse_gates(["latency=5", "params=none of them", "gain", "chance=0", "size_mib=inf"])
    for part in ("did you mean latency_ms?", "such as 5000000", "gain=LIMIT", "between 0 and 1"):
        assert part in str(told.value)
    assert "positive MiB" in str(told.value)


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ("mcnemar=0.05", "passed"),
        ("mcnemar=1e-9", "failed"),
        ("gain=0.02", "passed"),
        ("gain=0.06", "failed"),
        ("chance=0.01", "passed"),
        ("accuracy=0.9", "passed"),
        ("accuracy=0.94", "failed"),  # 340 of 360 are 0.944, the interval begins at 0.916
        ("latency_ms=2.5", "passed"),
        ("latency_ms=2.4", "failed"),
        ("size_mib=3", "passed"),
        ("size_mib=2.9", "failed"),
        ("params=270K", "passed"),
        ("params=269999", "failed"),
        ("macs=2.5M", "passed"),
        ("macs=2M", "failed"),
    ],
)
def test_a_candidate_stands_to_each_gate_as_its_numbers_say(gate: str, verdict: str) -> None:
    name = gate.partition("=")[0]
    result = judged(measured(), gate)[name]
    assert result.verdict == verdict
    assert (result.remedy is not None) == (verdict == "failed")
    assert result.measured is not None


def test_without_a_champion_only_what_needs_one_does_not_apply() -> None:
    alone = dataclasses.replace(measured(), counts=None, difference=None)
    results = judged(alone, "gain=0", "params=1M")
    assert {name: r.verdict for name, r in results.items()} == {
        "mcnemar": "not applicable",
        "chance": "passed",
        "gain": "not applicable",
        "params": "passed",
    }


def test_a_model_that_has_learnt_nothing_is_not_above_chance() -> None:
    result = judged(measured(wins=10, losses=2, right=45))["chance"]
    assert result.verdict == "failed"
    assert "0.1250 (45 of 360" in result.told


def test_the_accuracy_s_remedy_is_the_smallest_that_passes() -> None:
    result = judged(measured(), "accuracy=0.94")["accuracy"]
    assert result.remedy is not None
    missing = int(result.remedy.split()[0])
    enough, less = (measured(right=340 + missing - k) for k in (0, 1))
    assert judged(enough, "accuracy=0.94")["accuracy"].verdict == "passed"
    assert judged(less, "accuracy=0.94")["accuracy"].verdict == "failed"


def test_the_help_names_every_gate_with_its_default() -> None:
    text = str(app.info.help)
    for gate in GATES.values():
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{gate.name}="))
        assert (gate.default is not None) == ("default" in line)
