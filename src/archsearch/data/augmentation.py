"""Augmentation of whole batches in which each image has its own randomness.

Shift and mirror follow the recipe of the CIFAR papers (4 pixels of padding at 32, filled by
reflection as in Wide ResNet, arXiv:1605.07146, section 3); the square that is blanked out is
Cutout's (arXiv:1708.04552), clipped at the borders.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

MAX_SHIFT_SHARE = 0.25
"""Of the side, at strength 1; so 4 of 32 pixels at strength 0.5, as the papers have it."""
MAX_CUTOUT_SHARE = 0.5
"""Of the side, at strength 1: Cutout's 16 of 32 pixels."""


def augment(
    images: torch.Tensor,
    strength: float,
    generator: torch.Generator,
    *,
    flip: bool,
    fill: Sequence[float] | None = None,
) -> torch.Tensor:
    """Mirror, shift and blank out each image by its own draws.

    With probability min(1/2, `strength`) an image is mirrored (if `flip`); it is shifted by up to
    `strength`/4 of its side in each direction, the gap filled by reflection; and a square of
    `strength`/2 of its side, centred anywhere, is filled with `fill`.

    Args:
        images: (N, C, H, W) of uint8 with H = W, on any device; left as they are.
        strength: In 0..1; 0 returns the images themselves and draws nothing.
        generator: The only source of randomness, on the CPU or on the images' device. How much is
            drawn depends on N alone, so the same state gives the same batch.
        flip: Whether a mirrored image keeps its label.
        fill: Value in 0..1 for each channel of the blanked square, e.g. the data's mean; black
            if None.

    Returns:
        (N, C, H, W) of uint8.

    Raises:
        ValueError: If `strength` is outside 0..1.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"`0 <= strength <= 1` must hold, but got strength={strength}")
    if strength == 0.0 or len(images) == 0:
        return images
    draws = torch.rand(5, len(images), generator=generator, device=generator.device)
    draws = draws.to(images.device, non_blocking=True)
    mirrored = draws[0] < (min(0.5, strength) if flip else 0.0)
    moved = _move(images, draws[1:3], mirrored, strength)
    return _cut_out(moved, draws[3:5], strength, fill)


def normalise(
    images: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> torch.Tensor:
    """Turn bytes into numbers of about zero mean and unit deviation in each channel.

    Args:
        images: (N, C, H, W) of uint8.
        mean: Per channel, in 0..1.
        std: Per channel, in 0..1, positive.
        memory_format: Of the result, e.g. `torch.channels_last`.

    Returns:
        (images / 255 - mean) / std as float32, (N, C, H, W).
    """
    scale = torch.tensor([1 / (255 * s) for s in std], device=images.device).view(1, -1, 1, 1)
    shift = torch.tensor([m / s for m, s in zip(mean, std, strict=True)], device=images.device)
    # Converting first and reordering last is the fastest order on a CPU.
    numbers = images.to(torch.float32, copy=True).mul_(scale).sub_(shift.view(1, -1, 1, 1))
    return numbers.contiguous(memory_format=memory_format)


def _move(
    images: torch.Tensor, draws: torch.Tensor, mirrored: torch.Tensor, strength: float
) -> torch.Tensor:
    """Shift by whole pixels and mirror, both as one choice of source row and source column."""
    num_images, channels, side, _ = images.shape
    reach = min(round(strength * MAX_SHIFT_SHARE * side), side - 1)
    offsets = (draws * (2 * reach + 1)).long() - reach  # (2, N)
    places = torch.arange(side, device=images.device)
    rows, columns = (_reflect(places + offset[:, None], side) for offset in offsets)  # (N, side)
    columns = torch.where(mirrored[:, None], side - 1 - columns, columns)
    pixels = (rows[:, :, None] * side + columns[:, None, :]).view(num_images, 1, side * side)
    flat = images.reshape(num_images, channels, side * side)
    return flat.gather(2, pixels.expand(-1, channels, -1)).view(images.shape)


def _reflect(places: torch.Tensor, side: int) -> torch.Tensor:
    """Fold places outside 0..side-1 back in, without repeating the border pixel."""
    return side - 1 - (side - 1 - places.abs()).abs()


def _cut_out(
    images: torch.Tensor, draws: torch.Tensor, strength: float, fill: Sequence[float] | None
) -> torch.Tensor:
    num_channels, side = images.shape[1], images.shape[2]
    length = round(strength * MAX_CUTOUT_SHARE * side)
    if length == 0:
        return images
    starts = (draws * side).long() - length // 2  # (2, N): the centre may be any pixel
    places = torch.arange(side, device=images.device)
    inside = (places >= starts[:, :, None]) & (places < starts[:, :, None] + length)
    outside = ~(inside[0][:, :, None] & inside[1][:, None, :])[:, None]  # (N, 1, H, W)
    values = [0.0] * num_channels if fill is None else fill
    colour = torch.tensor([round(255 * value) for value in values], dtype=torch.uint8)
    # Bit masks instead of torch.where, which is many times slower on bytes.
    keep = outside.to(torch.uint8).mul_(255)
    return (images & keep).add_(colour.to(images.device).view(1, -1, 1, 1) & ~keep)
