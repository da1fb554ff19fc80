"""Composes a report from what a search left behind."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from archsearch.analysis.recorded_search import Evidence
from archsearch.phrases import plural
from archsearch.report.conclusions import (
    finalists_section,
    leaderboard_section,
    verdict_section,
)
from archsearch.report.explanations import (
    audit_section,
    curves_section,
    parameters_section,
    slices_section,
)
from archsearch.report.families import cost_section, families_section
from archsearch.report.opened_search import OpenedSearch
from archsearch.report.parts import Fact, Report, counted, duration
from archsearch.report.running import (
    failures_section,
    reproduction_section,
    running_section,
)


def compose(search: OpenedSearch) -> Report:
    """The report: the verdict first, then the leaderboard, then the evidence."""
    evidence = search.evidence
    headline, details = _headline(search)
    sections = (
        finalists_section(evidence, search.finalists),
        leaderboard_section(evidence),
        verdict_section(evidence, search.verdicts),
        families_section(evidence, search.verdict(), search.finalists),
        cost_section(evidence),
        curves_section(evidence),
        audit_section(evidence, search.audit),
        parameters_section(evidence, search.importances),
        slices_section(evidence),
        running_section(evidence, search.spans),
        failures_section(evidence),
        reproduction_section(evidence),
    )
    return Report(
        name=search.name,
        question=str(evidence.search.space.get("description") or ""),
        state=evidence.state,
        status=_status(evidence),
        headline=headline,
        details=details,
        facts=_facts(search),
        sections=tuple(section for section in sections if section is not None),
        written=f"{datetime.fromtimestamp(evidence.read_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


def _headline(search: OpenedSearch) -> tuple[str, tuple[str, ...]]:
    """The verdict's first clause, which can be quoted alone, and what qualifies it."""
    clauses = [clause.strip() for clause in search.verdict().sentence.split("; ")]
    return clauses[0].rstrip(".") + ".", tuple(clauses[1:])


def _status(evidence: Evidence) -> str:
    outcomes = Counter(trial.outcome or "unfinished" for trial in evidence.searched)
    told = f"{plural(len(evidence.searched), 'trial')}: {counted(outcomes.most_common())}"
    num_confirm = len(evidence.trials) - len(evidence.searched)
    told += f"; {plural(num_confirm, 'confirm run')}." if num_confirm else "."
    ending = evidence.search.ending
    match evidence.state:
        case "running":
            return f"The search is running. So far {told}"
        case "interrupted":
            why = f" ({ending})" if ending and ending != "interrupted" else ""
            return f"The search was interrupted{why}; the same command continues it. So far {told}"
        case _:
            return f"The search has finished. {told}"


def _facts(search: OpenedSearch) -> tuple[Fact, ...]:
    evidence = search.evidence
    data = evidence.option("data")
    best, winner = next(iter(search.leaderboard), None), search.winner
    facts = []
    if winner is not None and winner.estimate is not None:
        label = "winner" if evidence.winner else "leads so far"
        facts.append(Fact(f"{label}: {winner.name}", f"{winner.estimate.estimate:.4f}"))
        test = evidence.winner.test_accuracy if evidence.winner else None
        if test is not None:
            facts.append(Fact("its test accuracy", f"{test.estimate:.4f}"))
    elif best is not None:
        facts.append(Fact(f"best: {best.name}", f"{best.val_accuracy:.4f}"))
    facts += [
        Fact("trials", f"{len(evidence.searched):,}"),
        Fact("epochs", f"{sum(len(t.epochs) for t in evidence.trials):,}"),
        Fact("running time", duration(evidence.search.seconds)),
    ]
    if isinstance(data, dict) and data.get("name"):
        facts.append(Fact("data", str(data["name"]).replace("_", " ")))
    return tuple(facts)
