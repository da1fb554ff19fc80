"""Values and events as people read them, in lines, tables and summaries."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from archsearch.phrases import plural
from archsearch.search.events import ConfirmationStarted, WinnerFound

_WIDEST = 10_000
"""Columns that no table reaches."""


def print_table(console: Console, table: Table) -> None:
    """Print a table at its natural width: where the terminal is narrower, its lines wrap."""
    whole = Console(file=console.file, width=_WIDEST, color_system=None, force_terminal=False)
    with whole.capture() as captured:
        whole.print(table)
    for line in captured.get().splitlines():
        console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)


def shown_confirmation(event: ConfirmationStarted) -> str:
    """What is trained again, in a sentence."""
    names = ", ".join(f"{name} (trial {number})" for number, name in event.finalists)
    times = plural(event.num_seeds, "time")
    return (
        f"confirming: {names} trained again from scratch, {times} each; {event.num_missing} to go"
    )


def shown_winner(event: WinnerFound) -> str:
    """The winner in a sentence; the summary has the rest."""
    winner, objective = event.winner, event.objective
    return (
        f"winner: {winner['name']} (trial {winner['trial']}), about "
        f"{objective.format(winner['estimate'])} on {objective.where}; "
        f"{winner['test_accuracy']:.4f} of the test images right"
    )


def shown_params(params: dict[str, Any]) -> str:
    """Searched values without their family, short enough for a column."""
    return " ".join(
        f"{name.rpartition('/')[2]}={value:.3g}"
        if isinstance(value, float)
        else f"{name.rpartition('/')[2]}={value}"
        for name, value in params.items()
        if name != "family"
    )
