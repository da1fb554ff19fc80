"""Resizing at import, to the same bytes on every machine.

Library resizers round differently between processors (vector and scalar paths), and the data's
digest must not depend on that. Here the weights are integers, and products of integers below
2**53 are exact in float64 whatever the order of summation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_WEIGHT_BITS = 11
_CHUNK_IMAGES = 2048


def resize_images(images: npt.NDArray[np.uint8], image_size: int) -> npt.NDArray[np.uint8]:
    """Resize square images with an antialiased triangle filter (bilinear when enlarging).

    Args:
        images: (N, C, H, W) of uint8 with H = W.
        image_size: The new side in pixels.

    Returns:
        (N, C, image_size, image_size) of uint8, rounded half up; the same array if the size fits.
    """
    num_images, channels, side, _ = images.shape
    if side == image_size:
        return images
    weights = triangle_weights(side, image_size).astype(np.float64)
    half, scale = 2 ** (2 * _WEIGHT_BITS - 1), 2 ** (2 * _WEIGHT_BITS)
    resized = np.empty((num_images, channels, image_size, image_size), dtype=np.uint8)
    for start in range(0, num_images, _CHUNK_IMAGES):
        chunk = images[start : start + _CHUNK_IMAGES].astype(np.float64)
        exact = weights @ chunk @ weights.T  # rows, then columns
        resized[start : start + len(chunk)] = np.floor((exact + half) / scale)
    return resized


def triangle_weights(old: int, new: int) -> npt.NDArray[np.int64]:
    """Integer weights (new, old) whose every row sums to 2**11.

    Pixel i of the new image has its centre at (i + 1/2)·old/new of the old one; the triangle
    reaches max(1, old/new) pixels to either side and is cut at the border.
    """
    # In units of 1 / (2·new) everything is an integer, so nothing here rounds but the division.
    centres = (2 * np.arange(new, dtype=np.int64) + 1) * old
    distance = np.abs((2 * np.arange(old, dtype=np.int64) + 1) * new - centres[:, np.newaxis])
    weights = np.clip(2 * max(old, new) - distance, 0, None)
    sums = weights.sum(axis=1, keepdims=True)
    whole = 2**_WEIGHT_BITS
    rounded: npt.NDArray[np.int64] = (2 * whole * weights + sums) // (2 * sums)
    # What rounding lost or gained goes to the heaviest weight, so that a plain image stays plain.
    rows = np.arange(new)
    rounded[rows, rounded.argmax(axis=1)] += whole - rounded.sum(axis=1)
    return rounded
