"""A network's answers for a whole split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from archsearch.data import Split, normalise
from archsearch.training.memory import (
    OutOfMemoryDuringTrainingError,
    is_out_of_memory,
    release_memory,
)
from archsearch.training.precision import Precision, settle_arithmetic

BATCH_SIZE = 256


def predict(
    model: nn.Module,
    split: Split,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    precision: Precision = "float32",
    batch_size: int = BATCH_SIZE,
    on_batch: Callable[[], object] = lambda: None,
) -> torch.Tensor:
    """Logits (N, num_classes) of float32 for a split's images, in order, on the model's device.

    The model answers in evaluation mode and is left in the mode in which it came. When memory
    runs out, the batch is halved; answers do not depend on it but for rounding.

    Args:
        model: A network on any device; the images are moved there.
        split: The images (uint8); the labels are not looked at.
        mean: Per channel, in 0..1, as the network was trained with.
        std: Per channel, as `mean`.
        precision: Of the network's arithmetic.
        batch_size: Images at a time.
        on_batch: Called after each batch.

    Raises:
        OutOfMemoryDuringTrainingError: One image at a time does not fit either.
    """
    device = next(model.parameters()).device
    settle_arithmetic(device)
    was_training = model.training
    model.eval()
    answers: list[torch.Tensor] = []
    done = 0
    try:
        while done < len(split):
            images = split.images[done : done + batch_size].to(device)
            try:
                logits = _answer(model, images, mean, std, precision)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                logits = None
            if logits is None:
                if batch_size == 1:
                    raise OutOfMemoryDuringTrainingError(
                        "out of memory while predicting, even for one image at a time"
                    )
                batch_size = -(-batch_size // 2)
                release_memory(device)
                continue
            answers.append(logits)
            done += len(images)
            on_batch()
    finally:
        model.train(was_training)
    return torch.cat(answers)


@torch.inference_mode()
def _answer(
    model: nn.Module,
    images: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    precision: Precision,
) -> torch.Tensor:
    numbers = normalise(images, mean, std, memory_format=torch.channels_last)
    enabled = precision == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=enabled):
        logits: torch.Tensor = model(numbers)
    return logits.float()
