"""The training batches of an epoch: shuffled, augmented and normalised many batches at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from archsearch.data import PreparedData, Split, augment, normalise
from archsearch.spaces.recipe import Recipe
from archsearch.training.randomness import seeded_generator
from archsearch.training.schedule import steps_per_epoch

_CHUNK_BYTES = 16 * 2**20


class TrainingBatches:
    """Yields each epoch's batches; its two generators are all the state that it has.

    Several batches are augmented by one call, because on small images the calls cost more than
    the work. How many depends on the batch alone, so it never changes the numbers from one
    machine to another.
    """

    def __init__(self, split: Split, prepared: PreparedData, recipe: Recipe, seed: int) -> None:
        self._split = split
        self._prepared = prepared
        self._recipe = recipe
        self._order = seeded_generator(seed, "order of images")
        self._augmentation = seeded_generator(seed, "augmentation")
        self.batch_size = min(recipe.batch_size, len(split))
        self.steps_per_epoch = steps_per_epoch(len(split), recipe.batch_size)
        bytes_per_batch = self.batch_size * split.images[0].numel() * 4  # float32
        self._batches_per_chunk = max(1, _CHUNK_BYTES // bytes_per_batch)

    def epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One epoch of (images, labels).

        Images are (N, C, H, W) of float32, channels last; labels (N,) of int64, or (N,
        num_classes) of uint8. Every batch has `batch_size` images; those left over are dropped
        this time.
        """
        order = torch.randperm(len(self._split), generator=self._order)
        order = order[: self.steps_per_epoch * self.batch_size].to(self._split.images.device)
        size = self.batch_size
        for chunk in _cut(order, self._batches_per_chunk * size):
            images, labels = self._augmented(self._split.images[chunk]), self._split.labels[chunk]
            yield from zip(_cut(images, size), _cut(labels, size), strict=True)

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

    def random_state(self) -> dict[str, torch.Tensor]:
        """State of both generators, between two epochs."""
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
