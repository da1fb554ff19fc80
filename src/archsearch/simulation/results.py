"""What simulated searches came to, for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from archsearch.analysis.intervals import Interval
from archsearch.analysis.members import Budget
from archsearch.analysis.verdict_text import BUDGET_NAMES
from archsearch.display.formatting import print_table
from archsearch.phrases import duration, plural
from archsearch.simulation.curves import World
from archsearch.simulation.repetitions import SimulationOutcome, Summary
from archsearch.simulation.search import Setting


def print_simulation(
    world: World,
    setting: Setting,
    outcomes: Sequence[SimulationOutcome],
    summary: Summary,
    budget: Budget,
    console: Console,
) -> None:
    """What was simulated, what a search costs and finds, and whether what it says is true."""

    def line(text: str = "") -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    several = f"{summary.searches} searches" if summary.searches > 1 else "one search"
    line(f"{world.name}: {world.description}")
    line(
        f"{several} of {plural(setting.trials, 'trial')}, {setting.workers} at a time, "
        f"{100 * setting.policy.random_share:g} % of draws random; {setting.ladder.sentence}"
    )
    line()
    mean = "on average " if summary.searches > 1 else ""
    line(
        f"A search takes {mean}{duration(summary.seconds)} of simulated time, "
        f"{summary.device_hours:.2f} device-hours and {summary.epochs:.0f} epochs."
    )
    found = ", ".join(f"{n} {family}" for family, n in summary.best_family.items())
    best = setting.objective.format(summary.best)
    line(f"Best found: {best} ({found or 'nothing was trained fully'}).")
    line()
    _print_verdicts(line, outcomes, summary, budget)
    line()
    line("Early stopping, audited (sums over all searches):")
    print_table(console, _audit_table(summary))
    if not all(one.num_told for one in summary.families.values()):
        line("–: no search had five control trials of the family; only counts are told then")


def as_json(
    world: World, setting: Setting, outcomes: Sequence[SimulationOutcome], summary: Summary
) -> dict[str, Any]:
    """All of it as one JSON object."""
    return {
        "world": {"name": world.name, "description": world.description},
        "setting": {
            "trials": setting.trials,
            "workers": setting.workers,
            "random_share": setting.policy.random_share,
            "seed": setting.seed,
            "max_epochs": setting.ladder.max_epochs,
            "rungs": setting.ladder.rungs,
            "reduction_factor": setting.ladder.reduction_factor,
        },
        "summary": summary.as_json(),
        "searches": [outcome.as_json() for outcome in outcomes],
    }


def _print_verdicts(
    line: Callable[[str], None],
    outcomes: Sequence[SimulationOutcome],
    summary: Summary,
    budget: Budget,
) -> None:
    if summary.searches == 1:
        line(outcomes[0].verdict.sentence)
    else:
        counted = ", ".join(f"{name} {n}" for name, n in summary.verdicts.items())
        line(f"Verdicts at equal {BUDGET_NAMES[budget]}: {counted}")
    if summary.false_verdicts is not None:
        line(f"False verdicts: {shown_rate(summary.false_verdicts)}")
    for pair in summary.pairs:
        truth = f"In truth {pair.first} beats {pair.second} in {100 * pair.truth:.0f} % of pairs"
        if pair.coverage is None:
            line(f"{truth}; no search had trials enough for an interval")
        else:
            line(f"{truth}; intervals that hold it: {shown_rate(pair.coverage)}")


def shown_rate(rate: Interval) -> str:
    """A share with its interval, in per cent."""
    return f"{100 * rate.estimate:.1f} % ({100 * rate.low:.1f}–{100 * rate.high:.1f} %)"


_COLUMNS = (
    "family",
    "stopped\nof trials",
    "epochs\nsaved",
    "control\ntrials",
    "wrong of\nshadow stops",
    "tau by rung",
    "unfair in\naudit / live",
)


def _audit_table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in _COLUMNS:
        table.add_column(title, justify="left" if title == "family" else "right")
    for one in summary.families.values():
        epochs = one.epochs_trained + one.epochs_saved
        taus = "\n".join(f"{rung}: {tau:.2f}" for rung, tau in one.kendall_tau.items())
        table.add_row(
            one.family,
            f"{one.num_stopped:,} of {one.num_trials:,}",
            f"{100 * one.epochs_saved / max(epochs, 1):.0f} %",
            f"{one.num_control:,}",
            f"{one.num_wrongly_stopped:,} of {one.num_shadow_stopped:,}" if one.num_told else "–",
            taus or "–",
            f"{one.num_unfair:,} / {one.num_warned:,}",
        )
    return table
