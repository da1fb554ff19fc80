"""What all commands share: how an error, a signal and an exit code reach the user."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer

from archsearch.errors import ArchsearchError


def new_app(help_text: str) -> typer.Typer:
    """A command's typer application, with plain tracebacks and no shell-completion options."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        rich_markup_mode=None,
    )


def run(app: typer.Typer) -> None:
    """Run a command; leave the process with its exit code, without a traceback for a mistake."""
    try:
        app(standalone_mode=False)
    except ArchsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        _leave(error.exit_code)
    except SystemExit as ending:
        _leave(ending.code)
    except Exception as error:
        code = _click_exit_code(error)
        if code is None:
            raise
        sys.exit(code)


def _leave(code: str | int | None) -> NoReturn:
    """Leave the process; after a signal at once, for libraries take seconds to unload."""
    if code in (130, 143):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))
    sys.exit(code)


def _click_exit_code(error: Any) -> int | None:
    """Print a complaint about the command line; its exit code, or None if it is none."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, typer.Abort):
        return 1
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        command = error.ctx.command_path if getattr(error, "ctx", None) else ""
        hint = f" (see `{command} --help`)" if command else ""
        print(f"error: {error.format_message()}{hint}", file=sys.stderr)
        return int(error.exit_code)
    return None
