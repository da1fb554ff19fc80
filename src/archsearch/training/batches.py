"""The training batches of an epoch: shuffled, augmented and normalised many batches at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from archsearch.data import PreparedData, Split, augment, normalise
from archsearch.spaces.recipe import Recipe
from archsearch.training.distributed import ALONE, Ranks
from archsearch.training.randomness import seeded_generator
from archsearch.training.schedule import steps_per_epoch

_CHUNK_BYTES = 16 * 2**20


class TrainingBatches:
    """Yields each epoch's batches, or a process's part of each; two generators are its state.

    All processes draw the same order, so a batch holds the same images however many share it;
    each augments its own part from its own stream.

    Several batches are augmented by one call, because on small images the calls cost more than
    the work. How many depends on the batch alone, so it never changes the numbers from one
    machine to another.

    Args:
        split: Training images, where they stay.
        prepared: Their normalisation, and whether they may be mirrored.
        recipe: Batch size and augmentation.
        seed: Of the order and of the augmentation.
        device: Where batches are needed, if that is not where the split is.
        ranks: The processes that share each batch.
    """

    def __init__(
        self,
        split: Split,
        prepared: PreparedData,
        recipe: Recipe,
        seed: int,
        *,
        device: torch.device | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._split = split
        self._device = device
        self._prepared = prepared
        self._recipe = recipe
        self._seed = seed
        self._rank = ranks.rank
        self._order = seeded_generator(seed, "order of images")
        self.batch_size = min(recipe.batch_size, len(split))
        self.steps_per_epoch = steps_per_epoch(len(split), recipe.batch_size)
        self._part = ranks.part_of(self.batch_size)
        self._size = len(range(self.batch_size)[self._part])
        bytes_per_part = max(1, self._size) * split.images[0].numel() * 4  # float32
        self._batches_per_chunk = max(1, _CHUNK_BYTES // bytes_per_part)
        self.start_augmentation(after_epoch=0)

    def epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One epoch of (images, labels).

        Images are (N, C, H, W) of float32, channels last; labels (N,) of int64, or (N,
        num_classes) of uint8. Every batch has `batch_size` images over all processes; those left
        over are dropped this time.
        """
        order = torch.randperm(len(self._split), generator=self._order)
        order = order[: self.steps_per_epoch * self.batch_size]
        own = order.view(-1, self.batch_size)[:, self._part].flatten()
        split, own = self._resident(own)
        size = self._size
        for chunk in _cut(own, self._batches_per_chunk * size):
            images, labels = self._augmented(split.images[chunk]), split.labels[chunk]
            yield from zip(_cut(images, size), _cut(labels, size), strict=True)

    def _resident(self, own: torch.Tensor) -> tuple[Split, torch.Tensor]:
        """Where the epoch's images are, and their places there.

        A device that is one of several holds just the part that its process trains on in this
        epoch; the whole split stays in the file that all processes of a machine have mapped.
        """
        if self._device is None:
            return self._split, own.to(self._split.images.device)
        shard = Split(self._split.images[own], self._split.labels[own])
        moved = Split(shard.images.to(self._device), shard.labels.to(self._device))
        return moved, torch.arange(len(own), device=self._device)

    def _augmented(self, images: torch.Tensor) -> torch.Tensor:
        data = self._prepared
        changed = augment(
            images,
            self._recipe.augmentation,
            self._augmentation,
            flip=data.flip,
            fill=data.mean,
        )
        return normalise(changed, data.mean, data.std, memory_format=torch.channels_last)

    def start_augmentation(self, after_epoch: int) -> None:
        """Begin this process's stream: where a training begins, or others shared it so far."""
        start = f", process {self._rank} from epoch {after_epoch}" if self._rank else ""
        self._augmentation = seeded_generator(self._seed, f"augmentation{start}")

    def random_state(self) -> dict[str, torch.Tensor]:
        """State of both generators, between two epochs: the order is the same everywhere."""
        return {
            "order": self._order.get_state(),
            "augmentation": self._augmentation.get_state(),
        }

    def set_random_state(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `random_state` was taken."""
        self._order.set_state(state["order"])
        self._augmentation.set_state(state["augmentation"])


def _cut(tensor: torch.Tensor, length: int) -> list[torch.Tensor]:
    """Views of `length` rows each; the last may have fewer."""
    return [tensor[start : start + length] for start in range(0, len(tensor), length)]
