"""What is left of a small finite space: members that no trial has been given, listed.

Draws find the last members of a finite space late or never: the sampler repeats what it likes, and
every repetition is refused. So once draws repeat, what is left is listed and drawn from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterator, Sequence
from functools import cached_property
from typing import Any

from archsearch.phrases import plural
from archsearch.record.trial import Refusal
from archsearch.search.memory_limit import RAN_OUT
from archsearch.search.preflight import InfeasibleError
from archsearch.spaces.members import members, num_members
from archsearch.spaces.population import Population
from archsearch.spaces.trial_config import TrialConfig

MAX_LISTED = 1000
"""Members of a space that is listed: the cost of each may have to be counted, up to 0.1 s each."""


class ExhaustedError(Exception):
    """The space has no further member that could be drawn; the message says why."""


class Remaining:
    """The members of a space without those that were tried, if the space is small enough.

    Args:
        space: The space.
        config: Makes the trial that parameters describe; raises `ValueError` or
            `InfeasibleError` where they describe none.
    """

    def __init__(self, space: Population, config: Callable[[dict[str, Any]], TrialConfig]) -> None:
        self._space = space
        self._config = config

    @cached_property
    def can_be_listed(self) -> bool:
        """Whether the space is finite and has at most `MAX_LISTED` members."""
        count = num_members(self._space)
        return count is not None and count <= MAX_LISTED

    @cached_property
    def _by_digest(self) -> dict[str, dict[str, Any]]:
        """Every member once, by what it means; combinations that mean nothing are left out."""
        found: dict[str, dict[str, Any]] = {}
        for params in members(self._space):
            try:
                found.setdefault(self._config(params).digest, params)
            except (InfeasibleError, ValueError):
                continue
        return found

    @property
    def num_members(self) -> int:
        """Valid members of the space, those that mean the same counted once."""
        return len(self._by_digest)

    def count_left(self, tried: Container[str]) -> int:
        """How many members are not among those that were tried."""
        return sum(digest not in tried for digest in self._by_digest)

    def told(self, tried: Container[str], refused: str | None = None) -> str:
        """How much of the space was tried.

        Args:
            tried: Digests of the members that were.
            refused: Why the last of the others was refused; None where there are no others.
        """
        count = self.num_members
        if refused is None:
            if count == 1:
                return "the only member of the space was tried"
            return f"all {plural(count, 'member')} of the space were tried"
        return (
            f"{count - self.count_left(tried):,} of {plural(count, 'member')} of the space were "
            f"tried, and no other one can be trained. The last that was refused: {refused}"
        )

    def in_random_order(
        self, seed: int, tried: Container[str], family: str | None
    ) -> Iterator[dict[str, Any]]:
        """The members that were not tried, uniformly shuffled, those of `family` before others."""
        left = [params for digest, params in self._by_digest.items() if digest not in tried]
        random.Random(seed).shuffle(left)
        if family is not None:
            left.sort(key=lambda params: params["family"] != family)
        yield from left


def nothing_new(row: Sequence[Refusal]) -> ExhaustedError | None:
    """What it means that so many draws in a row were refused; None if all are above a cap."""
    if any(refusal.kind == "duplicate" for refusal in row):
        return ExhaustedError(
            f"{len(row)} draws in a row gave nothing new: the space has no other "
            "feasible member that the sampler could find"
        )
    if any(RAN_OUT in refusal.reason for refusal in row):
        told = f"{len(row)} draws in a row were refused. The last: {row[-1].reason}"
        return ExhaustedError(told)
    return None
