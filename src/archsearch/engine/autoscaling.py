"""Asks a cluster that can grow for nodes, which it adds only for work that waits."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from typing import Any

from archsearch.search.slots import TrialShape

GROUP_PREFIX = "archsearch-waiting-"
"""Prefix of the names of placement groups that only ask for capacity: no trial runs in them."""

UPDATE_SECONDS = 2.0
NOTICE_SECONDS = 10.0
"""How long trials wait for resources before the user reads that they do."""


class CapacityRequests:
    """Pending placement groups, as many as more trials could run on a larger cluster.

    The searcher issues a trial only when a slot is free, so no trial waits for a node that is
    not there yet. A placement group asks for the same resources instead. Once it has them it is
    removed, and the new node counts as a slot. The groups at most double the cluster, so that
    the last few trials do not call for many nodes, and they end with the driver's job.
    """

    def __init__(self, shape: TrialShape, say: Callable[[str], None]) -> None:
        self._shape = shape
        self._say = say
        self._groups: list[Any] = []
        self._next_update = -math.inf
        self._waiting_since: float | None = None
        self._has_given_notice = False

    @property
    def is_due(self) -> bool:
        """Whether the next `update` is due."""
        return time.monotonic() >= self._next_update

    def update(self, num_slots: int, num_open: int, num_waiting: int) -> None:
        """Ask for more capacity, or for less.

        Args:
            num_slots: How many trials the cluster can run at a time now.
            num_open: How many trials could run now on a cluster without limits.
            num_waiting: How many issued trials have no worker yet.
        """
        now = time.monotonic()
        self._next_update = now + UPDATE_SECONDS
        self._give_notice(now, num_waiting)
        self._groups = [group for group in self._groups if not self._released(group)]
        wanted = max(0, min(num_open - num_slots, num_slots))
        while len(self._groups) > wanted:
            self._remove(self._groups.pop())
        # Not while an issued trial waits: the next free resources are for it.
        while len(self._groups) < wanted and not num_waiting:
            self._groups.append(self._new())

    def end(self) -> None:
        """Remove them all."""
        while self._groups:
            self._remove(self._groups.pop())

    def _give_notice(self, now: float, num_waiting: int) -> None:
        if not num_waiting:
            self._waiting_since, self._has_given_notice = None, False
            return
        if self._waiting_since is None:
            self._waiting_since = now
        if not self._has_given_notice and now - self._waiting_since >= NOTICE_SECONDS:
            self._has_given_notice = True
            self._say(
                f"No node has room for a trial of {self._description} now: the search waits for "
                "one."
            )

    @property
    def _description(self) -> str:
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
        """Remove a placement group that has its resources; they are a slot from then on."""
        from ray.util import placement_group_table

        if placement_group_table(group).get("state") == "PENDING":
            return False
        self._remove(group)
        return True

    def _remove(self, group: Any) -> None:
        from ray.util import remove_placement_group

        remove_placement_group(group)
