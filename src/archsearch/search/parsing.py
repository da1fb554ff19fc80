"""Values as they are typed on a command line."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from archsearch.errors import UsageError


def host_and_port(address: str) -> tuple[str, int] | None:
    """Where `HOST:PORT` or `ray://HOST:PORT` listens; None if the text is neither."""
    match = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 2**16:
        return None
    return match[1].strip("[]"), int(match[2])


def parsed_count(option: str, text: str | None) -> Any:
    """A count such as `5000000`, `5e6` or `5M`; `none` and None stay what they are.

    Raises:
        UsageError: The text is no positive whole number.
    """
    if text is None or text == "none":
        return text
    factors = {"K": 10**3, "M": 10**6, "G": 10**9}
    factor = factors.get(text[-1:].upper(), 1)
    try:
        value = float(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        value = 0.0
    if not (1 <= value < 2**53 and value.is_integer()):
        raise UsageError(
            f"{option} {text!r} is no count: give a positive whole number such as 5000000, 5e6 "
            "or 5M, or none"
        )
    return int(value)


def parsed_concurrency(text: str) -> int | None:
    """What `--concurrency 4` or `--concurrency auto` (None: what there is room for) says.

    Raises:
        UsageError: The text is neither.
    """
    if text == "auto":
        return None
    count = None
    with contextlib.suppress(UsageError):  # it would allow `none`
        count = parsed_count("--concurrency", text)
    if not isinstance(count, int):
        raise UsageError(
            f"--concurrency {text!r} is no count: give a positive whole number such as 4, or auto"
        )
    return count


def parsed_trials(text: str) -> dict[str, int]:
    """What `--trials 50` or `--trials +50` (so many more) says, as fields of a request.

    Raises:
        UsageError: The text is neither.
    """
    more, digits = text.startswith("+"), text.removeprefix("+")
    count = None
    if not digits.startswith(("+", "-")):
        with contextlib.suppress(UsageError):  # it would allow `none`
            count = parsed_count("--trials", digits)
    if not isinstance(count, int):
        raise UsageError(
            f"--trials {text!r} is no count: give a positive whole number such as 50, or +50 for "
            "50 more"
        )
    return {"trials": count, "more_trials": count} if more else {"trials": count}
