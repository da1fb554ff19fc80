"""What can go wrong for a user, one class per exit code; every message says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArchsearchError(Exception):
    """Base of every error that a user can meet; printed without a traceback."""

    exit_code = 1


class UsageError(ArchsearchError):
    """Something knowable from the command line, the space file or a name is wrong."""

    exit_code = 2


class UnfitError(ArchsearchError):
    """The machine or the data is not fit: missing, corrupt, unwritable, busy, too small."""

    exit_code = 3


class NoTrialSucceededError(ArchsearchError):
    """A search ended without one completed trial."""

    exit_code = 4


class PromotionRefusedError(ArchsearchError):
    """The evidence does not carry a promotion."""

    exit_code = 5


def nearest_names(given: str, known: Iterable[str]) -> str:
    """A sentence part that helps after an unknown name: nearest names first, then all of them.

    Args:
        given: The name that was not found.
        known: Every name that would have been accepted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    shown = ", ".join(names[:40]) + (", …" if len(names) > 40 else "")
    return f"{hint}known: {shown or '(none)'}"
