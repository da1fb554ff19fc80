"""The evidence card of a promotion: what was found out about a candidate, as JSON and Markdown.

The JSON is written for programs and later comparisons; the Markdown says the same to a person on
the version's page. Pure functions of an examination.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from archsearch.analysis.gate import PairedCounts
from archsearch.analysis.intervals import Interval
from archsearch.command_line import command_line
from archsearch.record.readings import TestReading
from archsearch.record.trial import TrialRecord
from archsearch.search.gates import GateResult, Measured
from archsearch.tracking.candidate import Candidate
from archsearch.tracking.registration import Challenger

FORMAT = 1
_CURVE_ROWS = 12

Card = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The champion's answers beside the candidate's, or why there are none.

    Attributes:
        version: The champion's.
        tags: Of its version.
        source: Where its answers come from; None without a comparison.
        counts: Of the test images; None without a comparison.
        difference: Of the accuracies, with a bootstrap interval; None without a comparison.
        obstacle: Why there is no comparison, where a promotion was forced past it.
        caution: What a reader should know of the comparison.
    """

    version: str
    tags: Mapping[str, str]
    source: str | None
    counts: PairedCounts | None
    difference: Interval | None
    obstacle: str | None = None
    caution: str | None = None


@dataclass(frozen=True)
class Examination:
    """All that a promotion found out about one candidate.

    Attributes:
        trials: All of the search, for what it cost.
        code: What the search ran with, then what promotes, by name.
        comparison: With the champion; None without one.
        forced: Whether the gates were to be overridden.
        when: Date and time, UTC.
    """

    model: str
    alias: str
    candidate: Candidate
    reading: TestReading
    challenger: Challenger
    comparison: Comparison | None
    measured: Measured
    results: tuple[GateResult, ...]
    trials: list[TrialRecord]
    code: Mapping[str, Mapping[str, str]]
    forced: bool
    when: str

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that the candidate did not pass."""
        return tuple(result for result in self.results if result.verdict == "failed")

    @property
    def overridden(self) -> tuple[str, ...]:
        """What the promotion was forced past."""
        if not self.forced:
            return ()
        obstacle = self.comparison and self.comparison.obstacle
        return (*(["comparison"] if obstacle else []), *(result.name for result in self.failed))

    @property
    def status(self) -> Literal["passed", "failed"]:
        """What the tag `validation_status` says."""
        return "failed" if self.failed or self.overridden else "passed"

    @property
    def is_promoted(self) -> bool:
        """Whether the version is to have the alias."""
        return self.forced or not self.failed


def card_of(found: Examination, earlier: list[dict[str, Any]]) -> Card:
    """The card.

    Args:
        found: What was found out.
        earlier: The entries `examinations` of the version's card before, oldest first.
    """
    candidate, trial = found.candidate, found.candidate.trial
    examination = {
        "when": found.when,
        "alias": found.alias,
        "champion": found.comparison.version if found.comparison else None,
        "status": found.status,
        "failed": [result.name for result in found.failed],
        "overridden": list(found.overridden),
        "promoted": found.is_promoted,
    }
    interval = found.measured.accuracy_interval
    return {
        "format": FORMAT,
        "model": found.model,
        "version": str(found.challenger.version.version),
        **examination,
        "gates": [asdict(result) for result in found.results],
        "candidate": {
            "search": candidate.search.name,
            "search_uuid": candidate.search.uuid,
            "trial": trial.number,
            "name": trial.name,
            "family": trial.family,
            "arm": trial.arm,
            "seed": candidate.config.seed,
            "config": trial.config,
            "params": found.measured.params,
            "macs": found.measured.macs,
            "val_accuracy": trial.val_accuracy,
            "test_accuracy": asdict(interval),
            "test_right": found.measured.num_right,
            "test_images": found.measured.num_test,
            "chance_accuracy": found.measured.chance,
            "test_read_ms": found.reading.created_ms,
            "checkpoint": candidate.checkpoint.path.name,
            "checkpoint_sha256": candidate.checksum,
        },
        "champion_comparison": _comparison(found.comparison),
        "export": {
            "format": "pt2",
            "largest_logit_difference": found.challenger.difference,
            "size_bytes": found.challenger.size_bytes,
            "latency": asdict(found.challenger.latency),
        },
        "data": _data(candidate),
        "code": {name: dict(version) for name, version in found.code.items()},
        "cost": _cost(found),
        "confirm_runs": _confirm_runs(found),
        "learning_curve": [_epoch(epoch.epoch, epoch.result) for epoch in trial.epochs],
        "examinations": [*earlier, examination],
    }


def as_markdown(card: Card) -> str:
    """The card for a person."""
    candidate = card["candidate"]
    parts = [
        f"# {card['model']} version {card['version']}: {candidate['name']}",
        _decision(card),
        _gate_table(card["gates"]),
        _champion(card["champion_comparison"]),
        _facts(card),
        _confirm_table(card["confirm_runs"]),
        _curve(card["learning_curve"]),
        _history(card["examinations"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _comparison(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    counts, difference = comparison.counts, comparison.difference
    tags = comparison.tags
    return {
        "version": comparison.version,
        "architecture": tags.get("architecture"),
        "search": tags.get("search"),
        "trial": tags.get("trial"),
        "answers_from": comparison.source,
        "counts": None if counts is None else asdict(counts),
        "difference": None if difference is None else asdict(difference),
        "obstacle": comparison.obstacle,
        "caution": comparison.caution,
    }


def _data(candidate: Candidate) -> dict[str, Any]:
    data = candidate.data
    return {
        "name": data.name,
        "digest": data.digest,
        "split_digest": data.split_digest,
        "num_train": data.num_train,
        "num_val": data.num_val,
        "num_test": data.num_test,
        "image": [data.in_channels, data.image_size, data.image_size],
        "num_classes": data.num_classes,
        "multi_label": data.multi_label,
    }


def _cost(found: Examination) -> dict[str, Any]:
    def seconds(trial: TrialRecord) -> float:
        told = [epoch.result for epoch in trial.epochs]
        return sum(float(r.get(f"{k}_seconds") or 0) for r in told for k in ("train", "val"))

    trial, trials = found.candidate.trial, found.trials
    return {
        "epochs": len(trial.epochs),
        "attempts": max(1, len(trial.attempts)),
        "training_seconds": round(seconds(trial), 1),
        "search_trials": len(trials),
        "search_epochs": sum(len(each.epochs) for each in trials),
        "search_training_seconds": round(sum(map(seconds, trials)), 1),
        "search_seconds": round(found.candidate.search.seconds, 1),
    }


def _confirm_runs(found: Examination) -> list[dict[str, Any]]:
    """All runs of the candidate's configuration: its own, and those with other seeds."""
    return [
        {
            "trial": trial.number,
            "arm": trial.arm,
            "seed": trial.config.get("seed"),
            "outcome": trial.outcome,
            "val_accuracy": trial.val_accuracy,
        }
        for trial in found.trials
        if trial.config_digest == found.candidate.trial.config_digest
    ]


def _epoch(number: int, result: Mapping[str, Any]) -> dict[str, Any]:
    names = ("learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return {"epoch": number} | {name: result.get(name) for name in names}


def _decision(card: Card) -> str:
    alias = card["alias"]
    if card["overridden"]:
        told = ", ".join(card["overridden"])
        return f"**Forced** to `{alias}` on {card['when']}, past: {told}."
    if card["promoted"]:
        return f"**Promoted** to `{alias}` on {card['when']}: it passed every gate."
    told = ", ".join(card["failed"])
    return f"**Not promoted** to `{alias}` on {card['when']}: it failed {told}."


def _gate_table(gates: list[dict[str, Any]]) -> str:
    rows = [
        f"| {g['name']} | {_short(g['limit'])} | {g['verdict']} | {g['told']}"
        + (f"<br>What would do: {g['remedy']}." if g["remedy"] else "")
        + " |"
        for g in gates
    ]
    return "\n".join(["| gate | limit | | finding |", "|---|--:|---|---|", *rows])


def _champion(comparison: dict[str, Any] | None) -> str:
    if comparison is None:
        return "There was no champion to compare with."
    name = f"version {comparison['version']} ({comparison['architecture'] or 'unknown'})"
    if comparison["counts"] is None:
        return f"## Against {name}\n\nNot compared: {comparison['obstacle']}."
    c = comparison["counts"]
    lines = [
        f"## Against {name}",
        "",
        "| test images | champion right | champion wrong |",
        "|---|--:|--:|",
        f"| **candidate right** | {c['both_right']:,} | {c['wins']:,} |",
        f"| **candidate wrong** | {c['losses']:,} | {c['both_wrong']:,} |",
        "",
        f"The champion's answers: {comparison['answers_from']}. p values are McNemar's, mid-p "
        "(Fagerland et al. 2013); the interval of the difference is a bootstrap's over images. "
        "They compare these two networks, not what their architectures train to on average.",
    ]
    if comparison["caution"]:
        lines += ["", f"Caution: {comparison['caution']}."]
    return "\n".join(lines)


def _facts(card: Card) -> str:
    candidate, data, cost = card["candidate"], card["data"], card["cost"]
    export, test = card["export"], candidate["test_accuracy"]
    latency = export["latency"]
    code = "; ".join(
        f"{who}: " + " ".join(f"{k} {v}" for k, v in version.items())
        for who, version in card["code"].items()
        if version
    )
    again = command_line("export", f"{candidate['search']}/{candidate['trial']}")
    facts = {
        "trial": f"{candidate['trial']} of {candidate['search']} ({candidate['search_uuid']})",
        "seed": candidate["seed"],
        "size": f"{candidate['params']:,} parameters, {candidate['macs']:,} MACs an image, "
        f"{export['size_bytes'] / 2**20:.2f} MiB exported",
        "latency": f"{latency['median_ms']:.2f} ms an image (median of {latency['repetitions']}; "
        f"95 % below {latency['p95_ms']:.2f} ms), one thread of the promoting machine",
        "test accuracy": f"{test['estimate']:.4f} ({candidate['test_right']:,} of "
        f"{candidate['test_images']:,}; {test['level'] * 100:g} % interval {test['low']:.4f} to "
        f"{test['high']:.4f})",
        "validation accuracy": f"{candidate['val_accuracy']:.4f}",
        "data": f"{data['name']}, digest `{data['digest']}`; {data['num_train']:,} training, "
        f"{data['num_val']:,} validation, {data['num_test']:,} test images",
        "checkpoint": f"`{candidate['checkpoint']}`, SHA-256 `{candidate['checkpoint_sha256']}`",
        "export": f"pt2; largest difference of a logit {export['largest_logit_difference']:.2g}",
        "cost": f"{cost['epochs']} epochs in {cost['training_seconds']:,} s; the whole search "
        f"{cost['search_epochs']:,} epochs of {cost['search_trials']:,} trials, "
        f"{cost['search_training_seconds']:,} s of training",
        "code": code,
        "again": f"`{again}`",
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(["## The candidate", "", "| | |", "|---|---|", *rows])


def _confirm_table(runs: list[dict[str, Any]]) -> str:
    if len(runs) < 2:
        return ""
    rows = [
        f"| {r['trial']} | {r['arm']} | {r['seed']} | {r['outcome'] or 'unfinished'} | "
        f"{_short(r['val_accuracy'])} |"
        for r in runs
    ]
    head = ["| trial | arm | seed | outcome | val_accuracy |", "|--:|---|--:|---|--:|"]
    return "\n".join(["## Runs of this configuration", "", *head, *rows])


def _curve(epochs: list[dict[str, Any]]) -> str:
    if not epochs:
        return ""
    count = min(_CURVE_ROWS, len(epochs))
    places = sorted({round(i * (len(epochs) - 1) / max(1, count - 1)) for i in range(count)})
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    rows = [
        "| " + " | ".join(_short(epochs[place][name]) for name in names) + " |" for place in places
    ]
    head = ["| " + " | ".join(names) + " |", "|" + "--:|" * len(names)]
    return "\n".join(["## Learning curve", "", *head, *rows])


def _history(examinations: list[dict[str, Any]]) -> str:
    if len(examinations) < 2:
        return ""
    rows = [
        f"- {e['when']}: {e['status']} for `{e['alias']}`"
        + (f" against version {e['champion']}" if e["champion"] else "")
        + (f", failed {', '.join(e['failed'])}" if e["failed"] else "")
        + (f", forced past {', '.join(e['overridden'])}" if e["overridden"] else "")
        for e in examinations
    ]
    return "\n".join(["## Examinations", "", *rows])


def _short(value: float | int | str | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
