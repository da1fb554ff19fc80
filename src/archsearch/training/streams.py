"""The random streams of the processes that train one network, and their names in a checkpoint."""

from __future__ import annotations

import torch

from archsearch.training.batches import TrainingBatches
from archsearch.training.distributed import Ranks
from archsearch.training.randomness import LentRandomness, derived_seed

_SHARED = "order"
"""The one generator that is the same in every process."""


class RandomStreams:
    """A process's own streams, of dropout and augmentation, among those of the others.

    The first process has the streams that one alone would have, under the same names; so a
    checkpoint is read by any number of processes.

    Args:
        seed: The trial's.
        randomness: Of dropout; what it held so far has made the network, equal everywhere.
        batches: Draw the order of images, and augment.
        ranks: The processes.
    """

    def __init__(
        self, seed: int, randomness: LentRandomness, batches: TrainingBatches, ranks: Ranks
    ) -> None:
        self._seed = seed
        self._randomness = randomness
        self._batches = batches
        self._ranks = ranks
        self._begin(after_epoch=0)

    def _begin(self, after_epoch: int) -> None:
        if self._ranks.is_first:
            return
        where = f"process {self._ranks.rank} from epoch {after_epoch}"
        self._randomness.start(derived_seed(self._seed, f"dropout, {where}"))
        self._batches.start_augmentation(after_epoch)

    def states(self) -> dict[str, torch.Tensor]:
        """Of every process, in every process.

        Raises:
            LostRankError: One of them is gone.
        """
        own = self._randomness.state | self._batches.random_state()
        streams = {
            _name(stream, rank): state
            for stream in sorted(own.keys() - {_SHARED})
            for rank, state in enumerate(self._ranks.all_of(own[stream]))
        }
        return {_SHARED: own[_SHARED], **streams}

    def load(self, states: dict[str, torch.Tensor], after_epoch: int) -> None:
        """Go on where they stood; begin where fewer processes wrote them.

        Raises:
            KeyError, RuntimeError: They are states of something else.
        """
        own = {
            stream: states[told]
            for stream in self._randomness.state | self._batches.random_state()
            if (told := _name(stream, self._ranks.rank)) in states
        }
        if "augmentation" not in own:
            self._begin(after_epoch)
            own = self._batches.random_state()
        self._randomness.load(own)
        self._batches.set_random_state(own | {_SHARED: states[_SHARED]})


def _name(stream: str, rank: int) -> str:
    return f"{stream} of process {rank}" if rank else stream
