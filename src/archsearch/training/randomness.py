"""Where a trial's randomness comes from: its own generators, and torch's global ones on loan."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def derived_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, so that two generators of a trial never run in step."""
    digest = hashlib.sha256(f"{purpose}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def seeded_generator(seed: int, purpose: str) -> torch.Generator:
    """A generator on the CPU for one purpose of a trial."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose))


class LentRandomness:
    """Torch's global generators as one trial sees them.

    Weight initialisation and dropout draw from torch's global generators. Inside `lent()` these
    hold the trial's own state; outside, whatever they held before. So a trial's numbers depend
    neither on what the process did before nor on what it does between two epochs, and a trial
    leaves no trace on others.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = {"cpu": torch.default_generator}
        if device.type == "cuda":
            torch.cuda.init()
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generators["cuda"] = torch.cuda.default_generators[index]
        self.state: dict[str, torch.Tensor] = {}
        self.start(seed)

    def start(self, seed: int) -> None:
        """Begin anew from a seed."""
        self.state = {
            kind: torch.Generator(generator.device).manual_seed(seed).get_state()
            for kind, generator in self._generators.items()
        }

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Swap the trial's state in, and out again at the end; keep what it has become."""
        outer = {kind: generator.get_state() for kind, generator in self._generators.items()}
        self._set(self.state)
        try:
            yield
        finally:
            self.state = {kind: g.get_state() for kind, g in self._generators.items()}
            self._set(outer)

    def load(self, states: dict[str, torch.Tensor]) -> None:
        """Take over the states of those kinds of device that are there, keep the others."""
        self.state = {kind: states.get(kind, state) for kind, state in self.state.items()}

    def _set(self, states: dict[str, torch.Tensor]) -> None:
        for kind, generator in self._generators.items():
            generator.set_state(states[kind])
