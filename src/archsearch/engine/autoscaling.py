"""Lets a cluster that can grow do so: it adds nodes only for work that waits for room."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from typing import Any

from archsearch.search.slots import TrialShape

GROUP_PREFIX = "archsearch-waiting-"
"""How the names of placement groups begin that nobody waits for."""

UPDATE_SECONDS = 2.0
SILENCE_SECONDS = 10.0
"""How long trials wait for room before a person is told."""


class CapacityRequests:
    """Placement groups that wait where more trials could run than there is room for.

    A trial is asked for only when a slot is free, so none of them waits for a node that is not
    there. A placement group asks for the same room instead and gives it back once it has it:
    the node that has come is then a slot. They double the cluster at most, so that a few trials
    at its end do not call for many nodes, and end with the driver's job.
    """

    def __init__(self, shape: TrialShape, say: Callable[[str], None]) -> None:
        self._shape = shape
        self._say = say
        self._groups: list[Any] = []
        self._next_update = -math.inf
        self._full_since: float | None = None
        self._has_told = False

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next turn."""
        return time.monotonic() >= self._next_update

    def update(self, num_slots: int, num_open: int, num_waiting: int) -> None:
        """Ask for more room, or for less.

        Args:
            num_slots: Trials at a time that there is room for now.
            num_open: Trials that could run now if there were room for all.
            num_waiting: Trials that were asked for and have no worker yet.
        """
        now = time.monotonic()
        self._next_update = now + UPDATE_SECONDS
        self._tell(now, num_waiting)
        self._groups = [group for group in self._groups if not self._released(group)]
        wanted = max(0, min(num_open - num_slots, num_slots))
        while len(self._groups) > wanted:
            self._remove(self._groups.pop())
        # Not before a trial that waits: the room that comes is for it.
        while len(self._groups) < wanted and not num_waiting:
            self._groups.append(self._new())

    def end(self) -> None:
        """Remove them all."""
        while self._groups:
            self._remove(self._groups.pop())

    def _tell(self, now: float, num_waiting: int) -> None:
        if not num_waiting:
            self._full_since, self._has_told = None, False
            return
        if self._full_since is None:
            self._full_since = now
        if not self._has_told and now - self._full_since >= SILENCE_SECONDS:
            self._has_told = True
            self._say(
                f"No node has room for a trial of {self._told} now: the search waits for one."
            )

    @property
    def _told(self) -> str:
        shape = self._shape
        gpus = f" and {shape.num_gpus:g} GPU" if shape.num_gpus else ""
        each = f"{shape.num_workers} workers of " if shape.num_workers > 1 else ""
        return f"{each}{shape.num_cpus} CPU{gpus}"

    def _new(self) -> Any:
        from ray.util import placement_group

        bundle = {"CPU": float(self._shape.num_cpus)}
        if self._shape.num_gpus:
            bundle["GPU"] = self._shape.num_gpus
        name = f"{GROUP_PREFIX}{uuid.uuid4().hex}"  # no two groups of a cluster may have the same
        return placement_group([bundle] * self._shape.num_workers, name=name)

    def _released(self, group: Any) -> bool:
        """Remove a placement group that has its room, which is a slot from then on."""
        from ray.util import placement_group_table

        if placement_group_table(group).get("state") == "PENDING":
            return False
        self._remove(group)
        return True

    def _remove(self, group: Any) -> None:
        from ray.util import remove_placement_group

        remove_placement_group(group)
