"""The sections on what a good value costs, and on the families side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from archsearch.analysis.finalists import Confirmed
from archsearch.analysis.members import device_seconds
from archsearch.analysis.pareto import COSTS, front_of
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.verdict import Verdict
from archsearch.record.trial import leaderboard
from archsearch.report.conclusions import trial_columns, trial_row
from archsearch.report.figures_outcome import families_figure, pareto_figure
from archsearch.report.parts import (
    Cell,
    Column,
    Section,
    Table,
    counted,
    number,
    seconds_cell,
    value_cell,
    words,
)


def cost_section(recorded: RecordedSearch) -> Section:
    """What a good value costs: the Pareto fronts."""
    objective = recorded.search.objective
    title = f"What {objective.short} costs"
    figures = [pareto_figure(recorded, cost) for cost in COSTS]
    fronts = {cost: {t.number for t in front_of(recorded.searched, cost)} for cost in COSTS}
    members = [
        trial
        for trial in leaderboard(recorded.searched)
        if any(trial.number in front for front in fronts.values())
    ]
    rows = tuple(
        (
            *trial_row(trial),
            words(", ".join(_SHORT[cost] for cost in COSTS if trial.number in fronts[cost])),
        )
        for trial in members
    )
    table = Table(
        "Trials on a front",
        (*trial_columns(objective), Column("Unbeaten in", "text")),
        rows,
        is_folded=True,
    )
    drawn = tuple(f for f in figures if f is not None)
    if not drawn:
        return Section("cost", title, ("No trial has been trained to the end.",))
    return Section("cost", title, (), (table,), small_figures=drawn)


_SHORT = {"params": "parameters", "macs": "MACs", "seconds": "time"}


def families_section(
    recorded: RecordedSearch, verdict: Verdict, board: Sequence[Confirmed]
) -> Section:
    """The families side by side."""
    objective = recorded.search.objective
    rows = tuple(_family_row(recorded, verdict, board, family) for family in recorded.families)
    table = Table(
        "Families",
        (
            Column("Family", "text"),
            Column("Trials"),
            Column("Outcomes", "text"),
            Column("Random arm"),
            Column(f"Median {objective.shortfall} at matched MACs"),
            Column(f"Best {objective.short}"),
            Column("Best variant", "text"),
            Column("Its arm", "text"),
            Column("Best confirmed"),
            Column("Epochs"),
            Column("Training"),
        ),
        rows,
        note=f"The median {objective.shortfall} is the random arm's; the best of a family may be "
        "the sampler's find, and is the best of many noisy results.",
    )
    figure = families_figure(recorded)
    return Section("families", "Families side by side", (), (table,), (figure,) if figure else ())


def _family_row(
    recorded: RecordedSearch, verdict: Verdict, board: Sequence[Confirmed], family: str
) -> tuple[Cell, ...]:
    trials = [t for t in recorded.searched if t.family == family]
    outcomes = Counter(t.outcome or "unfinished" for t in trials)
    objective = recorded.search.objective
    share = verdict.families.get(family)
    best = share.best if share else None
    estimates = [c.estimate.estimate for c in board if c.finalist.family == family and c.estimate]
    return (
        words(family),
        number(len(trials)),
        words(counted(outcomes.most_common())),
        number(share.num_members if share else 0),
        value_cell(share.edf.median_error() if share else None, objective),
        value_cell(best.value if best else None, objective),
        words(best.name if best else "–"),
        words(best.arm if best else "–"),
        value_cell(objective.best(estimates), objective),
        number(sum(len(t.epochs) for t in trials)),
        seconds_cell(sum(device_seconds(t) for t in trials)),
    )
