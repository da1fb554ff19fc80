"""What a person or a program sees while a search runs: a live table, lines, or JSON lines."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from typing import IO, Literal, Protocol, Self

from rich.console import Console

from archsearch.display.formatting import shown_confirmation, shown_winner
from archsearch.display.live_table import LiveTable
from archsearch.halving.arms import CONFIRM
from archsearch.phrases import plural
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
    as_json,
)

Mode = Literal["auto", "quiet", "json"]


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
        if isinstance(event, WarningNotice):
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
            case Notice(text):
                self._line(text)
            case WarningNotice(text):
                self._line(f"warning: {text}", error=True)
            case SearchStarted():
                done = f", {len(event.ended)} done before" if event.ended else ""
                self._line(
                    f"{plural(event.num_trials, 'trial')}{done}, {event.num_slots} at a time, "
                    f"on {event.devices}"
                )
            case TrialStarted():
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                self._line(f"{_what(event)}: {event.name} starts{again}")
            case TrialEnded():
                value = event.objective.format(event.value)
                self._line(
                    f"{_what(event)}: {event.name} {event.outcome} after "
                    f"{plural(event.epochs, 'epoch')}, {value} ({event.reason})"
                )
            case ConfirmationStarted():
                self._line(shown_confirmation(event))
            case WinnerFound():
                self._line(shown_winner(event))
            case PauseChanged():
                self._line(event.sentence)
            case EpochFinished():
                pass


def _what(event: TrialStarted | TrialEnded) -> str:
    kind = "confirm run" if event.arm == CONFIRM else "trial"
    return f"{kind} {event.number}"
