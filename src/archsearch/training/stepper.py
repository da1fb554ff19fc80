"""One optimizer step after another: gradient, update, average; in micro-batches when need be."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from archsearch.errors import UnfitError
from archsearch.spaces.recipe import Recipe
from archsearch.training.averaging import WeightAverage
from archsearch.training.distributed import ALONE, GradientSum, Ranks
from archsearch.training.memory import (
    OutOfMemoryDuringTrainingError,
    can_be_cut,
    half_of,
    is_out_of_memory,
    learns_statistics,
    release_memory,
    share_of,
)
from archsearch.training.objective import is_right, loss_of
from archsearch.training.precision import Precision
from archsearch.training.schedule import learning_rate_at
from archsearch.training.sgd import FusedSgd


class Stepper:
    """A network, its average and its optimizer, and how far they have come.

    Args:
        model: On its device, channels last.
        recipe: How it is trained.
        total_steps: Optimizer steps of the whole training; the schedule ends there.
        precision: Of the network's arithmetic.
        batch_size: Images of one optimizer step, over all processes.
        micro_batch: Most images that go through the network at once; None means all of a
            process's share.
        ranks: The processes that share each batch.

    Raises:
        ValueError: `micro_batch` would feed single images to a network with BatchNorm.
        UnfitError: So would a process's share of a batch, or it is empty.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        total_steps: int,
        precision: Precision,
        batch_size: int,
        micro_batch: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        ranks.copy_from_first(list(model.state_dict().values()))
        self.model = model
        self.average = WeightAverage(model)
        self.steps = 0
        self._recipe = recipe
        self._total_steps = total_steps
        self._device = next(model.parameters()).device
        self._bfloat16 = precision == "bfloat16"
        self._ranks = ranks
        self._batch_size = batch_size
        self._share = share_of(batch_size, ranks.size)
        norms: list[Any] = [module for module in model.modules() if learns_statistics(module)]
        self._norms: list[tuple[Any, float]] = [(module, module.momentum) for module in norms]
        self._waits_in_norms = any(isinstance(m, nn.SyncBatchNorm) for m in norms)
        self._optimizer = FusedSgd(model, recipe)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._gradients = GradientSum(trained, ranks, extra=2) if ranks.size > 1 else None
        self._num_parts = 1
        self._micro_batch = min(micro_batch or self._share, self._share)
        pairs = bool(self._norms)
        if ranks.size > 1 and not can_be_cut(self._share, batch_size, pairs, ranks.size):
            raise UnfitError(
                f"a batch of {batch_size} images cannot be shared by {ranks.size} workers: each "
                f"needs at least {1 + pairs}; give a trial fewer workers"
            )
        if not can_be_cut(self._micro_batch, batch_size, pairs, ranks.size):
            raise ValueError(
                "BatchNorm cannot learn from single images, but got "
                f"(micro_batch={micro_batch}, batch_size={batch_size}, workers={ranks.size})"
            )

    @property
    def learning_rate(self) -> float:
        """Of the latest step (of the first one before there is any)."""
        return learning_rate_at(max(0, self.steps - 1), self._total_steps, self._recipe)

    @property
    def micro_batch(self) -> int:
        """Most images that go through the network at once; halves when memory runs out."""
        return self._micro_batch

    def step(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take one optimizer step on a batch, of the same mean gradient however it is cut.

        When memory runs out, of any process, the step is done again by all of them in
        micro-batches of half the size. What the failed try leaves behind is a part of one update
        of BatchNorm's running statistics.

        Args:
            images: (N, C, H, W) of float32: this process's part of the batch.
            labels: (N,) of int64, or (N, num_classes) of uint8; see `objective`.

        Returns:
            The whole batch's mean loss and how many of its images were right, on the device.

        Raises:
            OutOfMemoryDuringTrainingError: The smallest micro-batch (one image, or two where
                there is BatchNorm) does not fit either; or, where BatchNorm is synchronised, the
                first try did not.
            LostRankError: A process that shares the batch is gone.
        """
        while True:
            told = None
            try:
                told = self._accumulate_gradients(images, labels)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._waits_in_norms:
                    raise OutOfMemoryDuringTrainingError(
                        f"out of memory at step {self.steps + 1} with micro-batches of "
                        f"{self._micro_batch}: other workers wait in synchronised BatchNorm and "
                        "cannot try again"
                    ) from error
            # Outside the handler, because the exception holds on to the failed try's tensors.
            if not self._ranks.any(told is None) and told is not None:
                break
            self._halve_micro_batch()
        if self._gradients is not None:
            loss, right = self._gradients.exchange(torch.stack(told))
            told = (loss, right.round().to(torch.int64))
        rate = learning_rate_at(self.steps, self._total_steps, self._recipe)
        self._optimizer.step(rate)
        self.average.update(self.steps)
        self.steps += 1
        return told

    def _accumulate_gradients(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Leave this part's share of the gradient of the batch's mean loss in the parameters."""
        self._optimizer.forget_gradients()
        num_parts = -(-self._share // self._micro_batch)
        self._adapt_norms(num_parts)
        losses, rights = [], []
        for part in range(num_parts):
            part_images = images.tensor_split(num_parts)[part]
            part_labels = labels.tensor_split(num_parts)[part]
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
                logits = self.model(part_images)
            loss = loss_of(logits.float(), part_labels, self._recipe.label_smoothing)
            if len(part_images) < self._batch_size:
                loss = loss * (len(part_images) / self._batch_size)
            loss.backward()
            losses.append(loss.detach())
            rights.append(is_right(logits.detach(), part_labels).sum())
        return sum(losses[1:], losses[0]), sum(rights[1:], rights[0])

    def _halve_micro_batch(self) -> None:
        """Make room for another try.

        Raises:
            OutOfMemoryDuringTrainingError: There is nothing left to halve.
        """
        self._optimizer.forget_gradients()
        release_memory(self._device)
        half = half_of(
            self._micro_batch,
            self._batch_size,
            needs_pairs=bool(self._norms),
            num_workers=self._ranks.size,
        )
        if half is None:
            shared = f", shared by {self._ranks.size} workers" if self._ranks.size > 1 else ""
            raise OutOfMemoryDuringTrainingError(
                f"out of memory at step {self.steps + 1}, even with micro-batches of "
                f"{self._micro_batch} (of batches of {self._batch_size}{shared})"
            )
        self._micro_batch = half

    def _adapt_norms(self, num_parts: int) -> None:
        """Let k updates of BatchNorm's running statistics forget as much as one would."""
        if num_parts == self._num_parts:
            return  # setting a module's attribute is slow enough to notice each step
        self._num_parts = num_parts
        for module, momentum in self._norms:
            module.momentum = momentum if num_parts == 1 else 1 - (1 - momentum) ** (1 / num_parts)

    @torch.no_grad()
    def unite_statistics(self) -> None:
        """Give every process the mean of all processes' BatchNorm statistics.

        Each has normalised by its own part of each batch. Training looks at the batch alone, and
        both the running statistics and their average are linear in what the batches gave; so the
        mean taken once an epoch is what it would be taken after every step.
        """
        learning = [name for name, m in self.model.named_modules() if learns_statistics(m)]
        if self._ranks.size == 1 or not learning:
            return
        part = self._ranks.part_of(self._batch_size)
        statistics = [
            network.get_buffer(f"{name}.{statistic}")
            for network in (self.model, self.average.model)
            for name in learning
            for statistic in ("running_mean", "running_var")
        ]
        message = torch.cat(statistics) * ((part.stop - part.start) / self._batch_size)
        self._ranks.sum_in_place(message)
        torch._foreach_copy_(statistics, message.split([len(each) for each in statistics]))

    def what_is_not_finite(self) -> str | None:
        """A sentence on the first weight or statistic that is NaN or infinite; None if none is."""
        state = self.model.state_dict() | {
            f"average of {name}": tensor
            for name, tensor in self.average.model.state_dict().items()
        }
        # A sum is not finite when an entry is not; and one answer is waited for, not hundreds.
        sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in state.values()])
        bad = sums.isfinite().logical_not().nonzero()
        if not len(bad):
            return None
        names = list(state)
        return f"{names[int(bad[0])]} is not finite"

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, but for randomness; tensors are not copied."""
        return {
            "steps": self.steps,
            "micro_batch": self._micro_batch,
            "share": self._share,
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self._optimizer.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            KeyError, RuntimeError, ValueError: It is the state of something else.
        """
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self._optimizer.load_state(state["optimizer"])
        self.steps = int(state["steps"])
        self._micro_batch = self._continued(
            int(state["micro_batch"]), int(state.get("share", self._batch_size))
        )

    def _continued(self, micro_batch: int, share: int) -> int:
        """The micro-batch to go on with: as small as it was, where it had to be cut."""
        if micro_batch >= share:
            return self._share
        pairs, size = bool(self._norms), self._ranks.size
        fitting = range(min(micro_batch, self._share), self._share)
        cuts = (m for m in fitting if can_be_cut(m, self._batch_size, pairs, size))
        return next(cuts, self._share)
