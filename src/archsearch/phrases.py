"""Numbers as people say them; for every layer."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`45 s`, `2 min 37 s`, `26 h 3 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plural(count: int, what: str, many: str | None = None) -> str:
    """`1 trial`, `20 trials`; `many` is the plural where it takes more than an s."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {many or what + 's'}"


def a_or_an(noun: str) -> str:
    """`an accuracy`, `a loss`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
