"""How many workers of which size a trial has, and how many such trials there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from archsearch.schema import Frozen


class TrialShape(Frozen):
    """The workers that train a trial; all alike.

    Attributes:
        num_workers: How many; more than one share every batch.
        num_cpus: Processor threads of each.
        num_gpus: GPUs of each: 1 or a fraction, or none.
    """

    num_workers: int = 1
    num_cpus: int = 1
    num_gpus: float = 0.0

    @property
    def total_cpus(self) -> int:
        """Of all workers."""
        return self.num_workers * self.num_cpus

    @property
    def total_gpus(self) -> float:
        """Of all workers."""
        return self.num_workers * self.num_gpus

    def slots_on(self, nodes: Iterable[Mapping[str, Any]]) -> int:
        """Trials at a time that nodes have room for.

        Workers may be spread over nodes, each worker is on one.

        Args:
            nodes: As `ray.nodes()` has them.
        """
        places = sum(self._workers_on(node["Resources"]) for node in nodes if node["Alive"])
        return places // self.num_workers

    def _workers_on(self, resources: Mapping[str, float]) -> int:
        places = resources.get("CPU", 0) / self.num_cpus
        if self.num_gpus:
            places = min(places, resources.get("GPU", 0) / self.num_gpus)
        return int(places + 1e-9)  # ten tenths of a GPU are one
