"""Composes a report from what a search left behind."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.winner import no_better_than_constant
from archsearch.phrases import plural
from archsearch.record.trial import whole_space_of
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
    recorded = search.recorded
    headline, details = _headline(search)
    sections = (
        finalists_section(recorded, search.finalists),
        leaderboard_section(recorded),
        verdict_section(recorded, search.verdicts),
        families_section(recorded, search.verdict(), search.finalists),
        cost_section(recorded),
        curves_section(recorded),
        audit_section(recorded, search.audit),
        parameters_section(recorded, search.importances),
        slices_section(recorded),
        running_section(recorded, search.spans),
        failures_section(recorded),
        reproduction_section(recorded),
    )
    return Report(
        name=search.name,
        question=str(recorded.search.space.get("description") or ""),
        state=recorded.state,
        status=_status(recorded),
        headline=headline,
        details=details,
        facts=_facts(search),
        sections=tuple(section for section in sections if section is not None),
        written=f"{datetime.fromtimestamp(recorded.read_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


def _headline(search: OpenedSearch) -> tuple[str, tuple[str, ...]]:
    """The verdict's first clause, which can be quoted alone, and what qualifies it.

    A search of one family has no verdict: who leads it comes first. A network that has learned
    nothing is told before all else.
    """
    recorded = search.recorded
    caution = no_better_than_constant(recorded.search, recorded.trials)
    found = None if len(recorded.families) > 1 else _leader(search)
    if caution is not None:
        return f"{caution}.", (found or search.verdict().sentence,)
    if found is not None:
        return found, ()
    clauses = [clause.strip() for clause in search.verdict().sentence.split("; ")]
    return clauses[0].rstrip(".") + ".", tuple(clauses[1:])


def _leader(search: OpenedSearch) -> str:
    winner, best = search.winner, next(iter(search.leaderboard), None)
    if winner is not None and winner.estimate is not None:
        told = "wins" if search.recorded.winner else "leads so far"
        shown = search.recorded.search.objective.format(winner.estimate.estimate)
        return f"{winner.name} {told}: {shown} on {search.recorded.search.objective.where}."
    if best is not None:
        return f"{best.name} is the best trial: {best.shown_value} on {best.objective.where}."
    return "No trial has been trained to the end."


def _status(recorded: RecordedSearch) -> str:
    outcomes = Counter(trial.outcome or "unfinished" for trial in recorded.searched)
    told = f"{plural(len(recorded.searched), 'trial')}: {counted(outcomes.most_common())}"
    num_confirm = len(recorded.trials) - len(recorded.searched)
    told += f"; {plural(num_confirm, 'confirm run')}." if num_confirm else "."
    ending = recorded.search.ending
    match recorded.state:
        case "running":
            return f"The search is running. So far {told}"
        case "interrupted":
            why = f" ({ending})" if ending and ending != "interrupted" else ""
            return f"The search was interrupted{why}; the same command continues it. So far {told}"
        case _:
            whole = whole_space_of(recorded.search)
            ended = "The search has finished" + (f": {whole}." if whole else ".")
            return f"{ended} {told}"


def _facts(search: OpenedSearch) -> tuple[Fact, ...]:
    recorded = search.recorded
    best, winner = next(iter(search.leaderboard), None), search.winner
    facts = []
    if winner is not None and winner.estimate is not None:
        label = "winner" if recorded.winner else "leads so far"
        facts.append(
            Fact(
                f"{label}: {winner.name}",
                winner.finalist.objective.format(winner.estimate.estimate),
            )
        )
        test = recorded.winner.test_accuracy if recorded.winner else None
        if test is not None:
            facts.append(Fact("its test accuracy", f"{test.estimate:.4f}"))
    elif best is not None:
        facts.append(Fact(f"best: {best.name}", best.shown_value))
    facts += [
        Fact("trials", f"{len(recorded.searched):,}"),
        Fact("epochs", f"{sum(len(t.epochs) for t in recorded.trials):,}"),
        Fact("running time", duration(recorded.search.seconds)),
    ]
    facts.append(Fact("data", recorded.search.settings.data.name.replace("_", " ")))
    return tuple(facts)
