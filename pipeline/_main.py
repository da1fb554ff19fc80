"""What all commands share: how an error, a signal and an exit code reach the user."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer

from archsearch.account import supply_account
from archsearch.errors import ArchsearchError, UnfitError


def new_app(help_text: str, *examples: str) -> typer.Typer:
    """A command's typer application, with plain tracebacks and no shell-completion options.

    Args:
        help_text: What the command does, and its exit codes where they are its own.
        examples: Command lines to learn from, each whole.
    """
    if examples:
        # The backspace is click's sign for a paragraph that is not to be wrapped.
        help_text += "\n\n\b\n" + "\n".join(("Examples:", *(f"  {line}" for line in examples)))
    return typer.Typer(
        help=help_text,
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        rich_markup_mode=None,
    )


def run(app: typer.Typer) -> None:
    """Run a command; leave the process with its exit code, without a traceback for a mistake."""
    supply_account()
    if len(app.registered_commands) == 1:  # typer shows a lone command's docstring otherwise
        app.registered_commands[0].help = app.info.help
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show × shows ?
            stream.reconfigure(errors="replace")
    try:
        code = app(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        if code == 130:  # typer returns it, instead of raising anything
            print("interrupted", file=sys.stderr)
            leave(code)
    except ArchsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        leave(error.exit_code)
    except SystemExit as ending:
        # typer leaves at every broken pipe, as if it were always our output's.
        if isinstance(ending.__context__, BrokenPipeError):
            _refused(ending.__context__)
        leave(ending.code)
    except OSError as error:
        _refused(error)
    except Exception as error:
        code = _click_exit_code(error)
        if code is None:
            raise
        leave(code)


def leave(code: str | int | None) -> NoReturn:
    """Leave the process; after a signal at once, for libraries take seconds to unload."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # or Python says so once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code in (130, 143):
        sys.stderr.flush()
        os._exit(int(code))
    sys.exit(code)


def _refused(error: OSError) -> NoReturn:
    """Say what the system refused: a full disk, a missing device, a broken connection."""
    if isinstance(error, BrokenPipeError) and _is_unread():
        leave(1)
    print(f"error: the system refused: {error}", file=sys.stderr)
    leave(UnfitError.exit_code)


def _is_unread() -> bool:
    """Whether whoever read our output has had enough."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there may be none
            poll.register(stream.fileno(), select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _click_exit_code(error: Any) -> int | None:
    """Print a complaint about the command line; its exit code, or None if it is none."""
    if isinstance(error, typer.Abort):
        # Nobody is asked anything here, so an end of input is an error of ours.
        raise error.__cause__ or error
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        known = sorted(getattr(context and context.command, "commands", ()))
        told = f" Known: {', '.join(known)}." if known else ""
        hint = f" (see `{context.command_path} --help`)" if context else ""
        message = error.format_message().replace("Value error, ", "")
        print(f"error: {message}{told}{hint}", file=sys.stderr)
        return int(error.exit_code)
    return None
