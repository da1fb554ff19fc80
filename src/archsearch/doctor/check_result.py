"""One thing that `pipeline.doctor` has looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """One thing that was looked at.

    Attributes:
        about: What was looked at.
        told: What was found.
        advice: What to do; None if it is fine.
    """

    about: str
    told: str
    advice: str | None = None
