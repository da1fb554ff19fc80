"""The live table of a running search on a terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from archsearch.display.formatting import (
    shown_confirmation,
    shown_params,
    shown_winner,
)
from archsearch.halving.arms import CONFIRM
from archsearch.objective import DEFAULT
from archsearch.phrases import duration, plural
from archsearch.search.events import (
    ConfirmationStarted,
    EpochFinished,
    Event,
    Notice,
    PauseChanged,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    WarningNotice,
    WinnerFound,
)

_ROWS = 14
_OBJECTIVE = "objective"
"""The column that is headed by what the search optimises."""
_COLUMNS: dict[str, Literal["left", "right"]] = {
    "trial": "right",
    "variant": "left",
    "arm": "left",
    "epoch": "right",
    _OBJECTIVE: "right",
    "state": "left",
    "parameters": "left",
}


_WIDTHS = {"trial": 7, "epoch": 9, _OBJECTIVE: 8, "state": 13, "arm": 8}
"""Columns for the longest that stands there: numbers are never cut."""

_VARIANT, _PARAMETERS = (8, 28), 20
"""Least and most columns of a variant's name, and the least of its parameters."""


def _widths(available: int) -> dict[str, int]:
    """The table's columns, left to right, in what the terminal has: numbers and names first."""
    titles = ["trial", "variant", "epoch", _OBJECTIVE]
    left = available - sum(_WIDTHS.get(title, _VARIANT[0]) + 1 for title in titles)
    for title in ("state", "arm"):
        if left >= _WIDTHS[title] + 1:
            titles.append(title)
            left -= _WIDTHS[title] + 1
    variant = min(_VARIANT[0] + max(left, 0), _VARIANT[1])
    left -= variant - _VARIANT[0]
    widths = _WIDTHS | {"variant": variant, "parameters": left - 1}
    if left > _PARAMETERS:
        titles.append("parameters")
    return {title: widths[title] for title in _COLUMNS if title in titles}


@dataclass
class _Row:
    """One trial in the live table."""

    number: int
    name: str
    family: str
    arm: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    max_epochs: int = 0
    value: float | None = None
    outcome: str | None = None


class LiveTable:
    """A table that is drawn again twice a second; what is said scrolls above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._rows: dict[int, _Row] = {}
        self._num_trials = self._num_slots = 0
        self._devices = ""
        self._objective = DEFAULT
        self._opened = time.monotonic()
        self._began: float | None = None  # when workers were there: the pace counts from then
        self._is_paused = False
        self._num_confirm_runs = self._ended_before = 0
        self._live = Live(
            console=console, refresh_per_second=2, get_renderable=self.__rich__, transient=True
        )

    def __enter__(self) -> Self:
        self._opened = time.monotonic()
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take the event in; print what is said."""
        match event:
            case Notice(text):
                self._live.console.print(text, highlight=False, markup=False)
            case WarningNotice(text):
                self._live.console.print(
                    f"warning: {text}", style="yellow", highlight=False, markup=False
                )
            case ConfirmationStarted():
                self._live.console.print(shown_confirmation(event), highlight=False, markup=False)
                with self._lock:
                    self._take(event)
            case PauseChanged(paused):
                self._live.console.print(event.sentence, highlight=False, markup=False)
                with self._lock:
                    self._is_paused = paused
            case WinnerFound():
                self._live.console.print(shown_winner(event), highlight=False, markup=False)
            case _:
                with self._lock:
                    self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case SearchStarted():
                self._num_trials, self._num_slots = event.num_trials, event.num_slots
                self._devices, self._began = event.devices, time.monotonic()
                self._objective = event.objective
                self._ended_before = len(event.ended)
                for ended in event.ended:
                    self._take(ended)
            case TrialStarted():
                self._rows[event.number] = _Row(
                    event.number, event.name, event.family, event.arm, event.params
                )
            case EpochFinished() if event.number in self._rows:
                row = self._rows[event.number]
                row.epoch, row.max_epochs = event.epoch, event.max_epochs
                row.value = event.value
            case TrialEnded():
                row = self._rows.setdefault(
                    event.number, _Row(event.number, event.name, event.family, event.arm)
                )
                row.outcome, row.epoch = event.outcome, event.epochs
                row.value = event.value
            case ConfirmationStarted():
                started = sum(row.arm == CONFIRM for row in self._rows.values())
                self._num_confirm_runs = started + event.num_missing
            case _:
                pass

    def __rich__(self) -> Group:
        """What it looks like now."""
        with self._lock:
            rows = list(self._rows.values())
        return Group(self._table(rows), Text(self._footer(rows)))

    def _table(self, rows: list[_Row]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        widths = _widths(self._console.width)
        for title, width in widths.items():
            table.add_column(
                self._objective.short if title == _OBJECTIVE else title,
                justify=_COLUMNS[title],
                no_wrap=True,
                overflow="ellipsis",
                width=width,
            )
        running = [row for row in rows if row.outcome is None]
        ended = sorted(
            (row for row in rows if row.outcome is not None),
            key=lambda row: (row.outcome != "completed", self._objective.sort_key(row.value)),
        )
        for row in [*running, *ended][:_ROWS]:
            epochs = f"{row.epoch}/{row.max_epochs}" if row.max_epochs else str(row.epoch)
            cells = {
                "trial": str(row.number),
                "variant": row.name,
                "arm": row.arm,
                "epoch": epochs,
                _OBJECTIVE: self._objective.format(row.value),
                "state": row.outcome or "running",
                "parameters": shown_params(row.params),
            }
            table.add_row(
                *(cells[title] for title in widths), style="bold" if row.outcome is None else ""
            )
        return table

    def _footer(self, rows: list[_Row]) -> str:
        if self._began is None:
            return f"starting workers … · elapsed {duration(time.monotonic() - self._opened)}"
        searched = [row for row in rows if row.arm != CONFIRM]
        outcomes = Counter(row.outcome for row in searched if row.outcome is not None)
        completed = [row for row in searched if row.outcome == "completed"]
        num_confirmed = sum(r.arm == CONFIRM and r.outcome is not None for r in rows)
        best = min(completed, key=lambda r: self._objective.sort_key(r.value), default=None)
        num_running = sum(row.outcome is None for row in rows)
        now = time.monotonic()
        running_for = now - self._began
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        parts = [
            f"{sum(outcomes.values())} of {plural(self._num_trials, 'trial')} ended"
            + (f" ({told})" if told else "")
            + (
                f", {num_confirmed} of {self._num_confirm_runs} confirm runs"
                if self._num_confirm_runs
                else ""
            ),
            f"{num_running} of {self._num_slots} slots in use ({self._devices})",
            f"elapsed {duration(now - self._opened)}",
        ]
        num_ended = sum(outcomes.values()) + num_confirmed
        if self._is_paused:
            parts.insert(0, "PAUSED")
        elif num_ended > self._ended_before:
            wanted = self._num_trials + self._num_confirm_runs
            left = (wanted - num_ended) * running_for / (num_ended - self._ended_before)
            parts.append(f"about {duration(left)} left")
        if best is not None:
            parts.append(f"best so far {best.name} {self._objective.format(best.value)}")
        return " · ".join(parts)
