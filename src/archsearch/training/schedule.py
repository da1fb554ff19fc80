"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math

from archsearch.spaces.recipe import Recipe


def learning_rate_at(step: int, total_steps: int, recipe: Recipe) -> float:
    """Learning rate of optimizer step `step` (0-based) of `total_steps`.

    Linear warm-up over the first `warmup_fraction` of all steps: the peak is reached at the last
    of them, and no step has a rate of 0. Then a cosine without restarts from the peak towards 0
    (Loshchilov & Hutter 2017, equation 5), which would be reached at step `total_steps`.

    Raises:
        ValueError: `0 <= step < total_steps` does not hold.
    """
    if not 0 <= step < total_steps:
        raise ValueError(
            f"`0 <= step < total_steps` must hold, but got (step={step}, "
            f"total_steps={total_steps})"
        )
    warmup_steps = round(recipe.warmup_fraction * total_steps)
    if step < warmup_steps:
        return recipe.learning_rate * ((step + 1) / warmup_steps)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Optimizer steps in an epoch of `num_images`, at least 1.

    Images are shuffled each epoch and those left over after the last full batch are dropped,
    others each time; where there are fewer than `batch_size`, all of them make the one batch.
    """
    return max(1, num_images // batch_size)
