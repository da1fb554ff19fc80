"""The evidence card for a person: Markdown, shown on the version's page."""

from __future__ import annotations

from typing import Any

from archsearch.command_line import command_line
from archsearch.objective import objective_named
from archsearch.promotion.card import Card
from archsearch.training.result import CURVES

_CURVE_ROWS = 12


def as_markdown(card: Card) -> str:
    """The card for a person."""
    candidate = card["candidate"]
    parts = [
        f"# {card['model']} version {card['version']}: {candidate['name']}",
        _decision(card),
        _gate_table(card["gates"]),
        _champion(card["champion_comparison"]),
        _facts(card),
        _confirm_table(card["confirm_runs"], candidate["objective"]),
        _curve(card["learning_curve"]),
        _history(card["examinations"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _decision(card: Card) -> str:
    caution = card["candidate"]["caution"]
    return _what_was_decided(card) + (f"\n\nCaution: {caution}." if caution else "")


def _what_was_decided(card: Card) -> str:
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
    objective = objective_named(candidate["objective"])
    latency = export["latency"]
    code = "; ".join(
        f"{who}: " + " ".join(f"{k} {v}" for k, v in version.items())
        for who, version in card["code"].items()
        if version
    )
    again = command_line("export", f"{candidate['search']}/{candidate['trial']}")
    facts = {
        "trial": f"{candidate['trial']} of {candidate['search']} ({candidate['search_uuid']})",
        "chosen": candidate["chosen"],
        "seed": candidate["seed"],
        "size": f"{candidate['params']:,} parameters, {candidate['macs']:,} MACs an image, "
        f"{export['size_bytes'] / 2**20:.2f} MiB exported",
        "latency": f"{latency['median_ms']:.2f} ms an image (median of {latency['repetitions']}; "
        f"95 % below {latency['p95_ms']:.2f} ms), one thread of the promoting machine",
        "test accuracy": f"{test['estimate']:.4f} ({candidate['test_right']:,} of "
        f"{candidate['test_images']:,}; {test['level'] * 100:g} % interval {test['low']:.4f} to "
        f"{test['high']:.4f})",
        objective.name: objective.format(candidate[objective.metric]),
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


def _confirm_table(runs: list[dict[str, Any]], metric: str) -> str:
    if len(runs) < 2:
        return ""
    rows = [
        f"| {r['trial']} | {r['arm']} | {r['seed']} | {r['outcome'] or 'unfinished'} | "
        f"{_short(r[metric])} |"
        for r in runs
    ]
    head = [f"| trial | arm | seed | outcome | {metric} |", "|--:|---|--:|---|--:|"]
    return "\n".join(["## Runs of this configuration", "", *head, *rows])


def _curve(epochs: list[dict[str, Any]]) -> str:
    if not epochs:
        return ""
    count = min(_CURVE_ROWS, len(epochs))
    places = sorted({round(i * (len(epochs) - 1) / max(1, count - 1)) for i in range(count)})
    names = ("epoch", *CURVES)
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
