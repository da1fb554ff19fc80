"""What a person or a program sees while a search runs: a live table, lines, or JSON lines."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from archsearch.halving.arms import CONFIRM
from archsearch.search.events import (
    ConfirmationStarted,
    EpochFinished,
    Event,
    Said,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    Warned,
    WinnerFound,
    as_json,
)

Mode = Literal["auto", "quiet", "json"]
_ROWS = 14


class Display(Protocol):
    """A listener that holds the terminal for the time of a block."""

    def __enter__(self) -> Self:
        """Take the terminal."""
        ...

    def __exit__(self, *_: object) -> None:
        """Give the terminal back."""
        ...

    def __call__(self, event: Event) -> None:
        """Show the event; from any thread."""
        ...


def open_display(mode: Mode, out: IO[str] | None = None) -> Display:
    """The live table on a terminal, plain lines elsewhere; or what `mode` asks for."""
    console = Console(file=out or sys.stdout)
    if mode == "json":
        return JsonLines(console.file)
    if mode == "quiet":
        return Quiet()
    return LiveTable(console) if console.is_terminal else PlainLines(console.file)


class _Plain:
    """Nothing to hold; events may come from several threads."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def _line(self, text: str, *, error: bool = False) -> None:
        with self._lock:
            print(text, file=sys.stderr if error else self._out, flush=True)


class Quiet(_Plain):
    """Warnings only, on the error output."""

    def __call__(self, event: Event) -> None:
        """Print a warning."""
        if isinstance(event, Warned):
            self._line(f"warning: {event.text}", error=True)


class JsonLines(_Plain):
    """One JSON object a line and event; whatever libraries print goes to the error output."""

    def __enter__(self) -> Self:
        self._redirection = contextlib.redirect_stdout(sys.stderr)
        self._redirection.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._redirection.__exit__(None, None, None)

    def __call__(self, event: Event) -> None:
        """Print the event."""
        self._line(json.dumps(as_json(event)))


class PlainLines(_Plain):
    """One line for what matters: starts and ends of trials, and what is said; no epochs."""

    def __call__(self, event: Event) -> None:
        """Print a line, or nothing for an epoch."""
        match event:
            case Said(text):
                self._line(text)
            case Warned(text):
                self._line(f"warning: {text}", error=True)
            case SearchStarted():
                done = f", {len(event.ended)} done before" if event.ended else ""
                self._line(
                    f"{event.num_trials} trials{done}, {event.num_slots} at a time, "
                    f"on {event.devices}"
                )
            case TrialStarted():
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                self._line(f"{_what(event)}: {event.name} starts{again}")
            case TrialEnded():
                accuracy = shown_accuracy(event.val_accuracy)
                self._line(
                    f"{_what(event)}: {event.name} {event.outcome} after {event.epochs} "
                    f"epoch{'s' if event.epochs != 1 else ''}, {accuracy} ({event.reason})"
                )
            case ConfirmationStarted():
                self._line(shown_confirmation(event))
            case WinnerFound(winner):
                self._line(shown_winner(winner))
            case EpochFinished():
                pass


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
    val_accuracy: float | None = None
    outcome: str | None = None


class LiveTable:
    """A table that is drawn again twice a second; what is said scrolls above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._rows: dict[int, _Row] = {}
        self._num_trials = self._num_slots = 0
        self._devices = ""
        self._began: float | None = None
        self._num_confirm_runs = self._ended_before = 0
        self._live = Live(
            console=console, refresh_per_second=2, get_renderable=self.__rich__, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take the event in; print what is said."""
        match event:
            case Said(text):
                self._live.console.print(text, highlight=False, markup=False)
            case Warned(text):
                self._live.console.print(
                    f"warning: {text}", style="yellow", highlight=False, markup=False
                )
            case ConfirmationStarted():
                self._live.console.print(shown_confirmation(event), highlight=False, markup=False)
                with self._lock:
                    self._take(event)
            case WinnerFound(winner):
                self._live.console.print(shown_winner(winner), highlight=False, markup=False)
            case _:
                with self._lock:
                    self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case SearchStarted():
                self._num_trials, self._num_slots = event.num_trials, event.num_slots
                self._devices, self._began = event.devices, time.monotonic()
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
                row.val_accuracy = event.val_accuracy
            case TrialEnded():
                row = self._rows.setdefault(
                    event.number, _Row(event.number, event.name, event.family, event.arm)
                )
                row.outcome, row.epoch = event.outcome, event.epochs
                row.val_accuracy = event.val_accuracy
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
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for title, justify in (
            ("trial", "right"),
            ("variant", "left"),
            ("arm", "left"),
            ("epoch", "right"),
            ("accuracy", "right"),
            ("state", "left"),
            ("parameters", "left"),
        ):
            table.add_column(
                title,
                justify=justify,  # type: ignore[arg-type]
                no_wrap=True,
                overflow="ellipsis",
                ratio=1 if title == "parameters" else None,  # in what the others leave
            )
        running = [row for row in rows if row.outcome is None]
        ended = sorted(
            (row for row in rows if row.outcome is not None),
            key=lambda row: (row.outcome != "completed", -(row.val_accuracy or 0.0)),
        )
        for row in [*running, *ended][:_ROWS]:
            epochs = f"{row.epoch}/{row.max_epochs}" if row.max_epochs else str(row.epoch)
            table.add_row(
                str(row.number),
                row.name,
                row.arm,
                epochs,
                shown_accuracy(row.val_accuracy),
                row.outcome or "running",
                shown_params(row.params),
                style="bold" if row.outcome is None else "",
            )
        return table

    def _footer(self, rows: list[_Row]) -> str:
        if self._began is None:
            return "starting workers …"
        searched = [row for row in rows if row.arm != CONFIRM]
        outcomes = Counter(row.outcome for row in searched if row.outcome is not None)
        completed = [row for row in searched if row.outcome == "completed"]
        num_confirmed = sum(r.arm == CONFIRM and r.outcome is not None for r in rows)
        best = max(completed, key=lambda row: row.val_accuracy or 0.0, default=None)
        num_running = sum(row.outcome is None for row in rows)
        elapsed = time.monotonic() - self._began
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        parts = [
            f"{sum(outcomes.values())} of {self._num_trials} trials ended"
            + (f" ({told})" if told else "")
            + (
                f", {num_confirmed} of {self._num_confirm_runs} confirm runs"
                if self._num_confirm_runs
                else ""
            ),
            f"{num_running} of {self._num_slots} slots in use ({self._devices})",
            f"elapsed {shown_seconds(elapsed)}",
        ]
        num_ended = sum(outcomes.values()) + num_confirmed
        if num_ended > self._ended_before:
            wanted = self._num_trials + self._num_confirm_runs
            left = (wanted - num_ended) * elapsed / (num_ended - self._ended_before)
            parts.append(f"about {shown_seconds(left)} left")
        if best is not None:
            parts.append(f"best so far {best.name} {shown_accuracy(best.val_accuracy)}")
        return " · ".join(parts)


def _what(event: TrialStarted | TrialEnded) -> str:
    kind = "confirm run" if event.arm == CONFIRM else "trial"
    return f"{kind} {event.number}"


def shown_confirmation(event: ConfirmationStarted) -> str:
    """What is trained again, in a sentence."""
    names = ", ".join(f"{name} (trial {number})" for number, name in event.finalists)
    times = f"{event.num_seeds} time{'s' if event.num_seeds > 1 else ''} each"
    return f"confirming: {names} trained again from scratch, {times}; {event.num_missing} to go"


def shown_winner(winner: dict[str, Any]) -> str:
    """The winner in a sentence; the summary has the rest."""
    return (
        f"winner: {winner['name']} (trial {winner['trial']}), about {winner['estimate']:.4f} on "
        f"validation images; {winner['test_accuracy']:.4f} of the test images right"
    )


def shown_accuracy(value: float | None) -> str:
    """An accuracy with four digits, or a dash."""
    return "–" if value is None else f"{value:.4f}"


def shown_seconds(seconds: float) -> str:
    """A duration as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def shown_params(params: dict[str, Any]) -> str:
    """Searched values without their family, short enough for a column."""
    return " ".join(
        f"{name.rpartition('/')[2]}={value:.3g}"
        if isinstance(value, float)
        else f"{name.rpartition('/')[2]}={value}"
        for name, value in params.items()
        if name != "family"
    )
