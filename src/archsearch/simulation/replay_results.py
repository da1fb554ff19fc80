"""What replayed policies came to, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from archsearch.simulation.curve_table import CurveTable
from archsearch.simulation.policies import REPLAY_POLICIES
from archsearch.simulation.regret import COMPARED_AT, REFERENCE, PolicyResult


def print_replay(table: CurveTable, results: Sequence[PolicyResult], console: Console) -> None:
    """The table that was replayed, and one row a policy."""
    searches = len(results[0].searches)

    def line(text: str = "") -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    line(
        f"{table.name}: {table.num_rows} curves of {table.max_epochs} epochs; {_chosen_by(table)}"
    )
    line(
        f"{searches} searches a policy, {results[0].workers} trials at a time. Regret in accuracy "
        "points after full trainings' worth of epochs, with the half-width of its 95 % interval:"
    )
    line()
    console.print(_table(results))
    line()
    compared = max((b for b in results[0].budgets if b <= COMPARED_AT), default=0)
    line(
        f"won, lost: searches with less and more regret than {REFERENCE!r} of the same seed after "
        f"{compared or results[0].budgets[0]} trainings"
    )
    for result in results:
        line(f"{result.policy}: {REPLAY_POLICIES[result.policy][1]}")


def _chosen_by(table: CurveTable) -> str:
    names = ", ".join(table.parameters) or "family"
    left_out = f" (no parameter: {', '.join(table.left_out)})" if table.left_out else ""
    return f"chosen by {names}{left_out}"


def _table(results: Sequence[PolicyResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("policy")
    for budget in results[0].budgets:
        table.add_column(str(budget), justify="right")
    for title in ("epochs\nof arms", "won", "lost"):
        table.add_column(title, justify="right")
    for result in results:
        table.add_row(
            result.policy,
            *(shown_regret(result, budget) for budget in result.budgets),
            f"{100 * result.arm_share:.0f} %",
            str(result.wins),
            str(result.losses),
        )
    return table


def shown_regret(result: PolicyResult, budget: int) -> str:
    """The mean in accuracy points, with the half-width of its interval if it has one."""
    regret, interval = result.regret(budget), result.interval(budget)
    if interval is None:
        return f"{100 * regret:.2f}"
    return f"{100 * regret:.2f} ± {100 * (interval[1] - regret):.2f}"
