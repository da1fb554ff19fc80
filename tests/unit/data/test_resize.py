from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from archsearch.data.resize import resize_images, triangle_weights


@pytest.mark.parametrize(("old", "new"), [(8, 32), (28, 32), (32, 28), (32, 8), (28, 7), (5, 3)])
def test_it_agrees_with_the_library_within_one_grey_level(old: int, new: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, old, old), dtype=np.uint8)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(images).double(), size=new, mode="bilinear", antialias=True
    )
    ours = resize_images(images, new)
    assert ours.shape == (20, 3, new, new)
    # Half a level for our rounding, half for the weights' eleven bits.
    assert np.abs(ours - theirs.numpy()).max() <= 1.0


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_a_plain_image_stays_plain(value: int) -> None:
    images = np.full((2, 1, 28, 28), value, np.uint8)
    for size in (1, 9, 32, 45):
        assert (resize_images(images, size) == value).all()


def test_the_same_size_copies_nothing() -> None:
    images = np.zeros((1, 1, 4, 4), np.uint8)
    assert resize_images(images, 4) is images


def test_more_images_than_one_chunk_are_all_resized() -> None:
    images = np.random.default_rng(1).integers(0, 256, (2500, 1, 4, 4), dtype=np.uint8)
    whole = resize_images(images, 6)
    np.testing.assert_array_equal(whole[2400:], resize_images(images[2400:], 6))


def test_weights_are_whole_numbers_that_sum_to_one() -> None:
    for old in range(1, 40):
        for new in (1, 2, 7, 32, 63):
            weights = triangle_weights(old, new)
            assert (weights >= 0).all()
            assert (weights.sum(axis=1) == 2048).all()


def test_the_bytes_are_the_same_on_every_machine() -> None:
    images = (np.arange(3 * 28 * 28) * 37 % 256).astype(np.uint8).reshape(1, 3, 28, 28)
    assert hashlib.sha256(resize_images(images, 32).tobytes()).hexdigest() == GOLDEN


GOLDEN = "9f0e582d77a52656154747873edd23af514a6ef0fad1ce4f67efb81781c1ada6"
