from __future__ import annotations

import math

import pytest
import torch

from archsearch.data import augment, normalise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coordinates(num_images: int, side: int) -> torch.Tensor:
    """Identical images (N, 2, side, side) in which each pixel tells its own row and column."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([row, column]).to(torch.uint8) + 1
    return image.repeat(num_images, 1, 1, 1)


def random_images(num_images: int = 32, channels: int = 3, side: int = 32) -> torch.Tensor:
    return torch.randint(
        0, 256, (num_images, channels, side, side), dtype=torch.uint8, generator=generator(9)
    )


def test_strength_zero_is_the_identity_and_draws_nothing() -> None:
    images, source = random_images(), generator()
    before = source.get_state()
    assert augment(images, 0.0, source, flip=True) is images
    assert source.get_state().equal(before)


@pytest.mark.parametrize("strength", [-0.1, 1.01, math.nan])
def test_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="`0 <= strength <= 1` must hold"):
        augment(random_images(), strength, generator(), flip=True)


@pytest.mark.parametrize("strength", [0.01, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("side", [1, 2, 8, 28, 32])
def test_shape_and_type_stay_and_the_input_is_left_alone(strength: float, side: int) -> None:
    images = random_images(side=side)
    before = images.clone()
    result = augment(images, strength, generator(), flip=True)
    assert result.shape == images.shape
    assert result.dtype == torch.uint8
    assert images.equal(before)


def test_the_same_generator_state_gives_the_same_batch_and_nothing_else_matters() -> None:
    images = random_images()
    torch.manual_seed(1)
    first = augment(images, 0.5, generator(3), flip=True)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert augment(images, 0.5, generator(3), flip=True).equal(first)
    assert torch.get_rng_state().equal(state), "the global generator is not used"
    assert not augment(images, 0.5, generator(4), flip=True).equal(first)


def test_a_second_batch_goes_on_where_the_first_ended() -> None:
    images, source = random_images(), generator()
    first = augment(images, 0.5, source, flip=True)
    state = source.get_state()
    second = augment(images, 0.5, source, flip=True)
    assert not first.equal(second)
    resumed = torch.Generator()
    resumed.set_state(state)
    assert augment(images, 0.5, resumed, flip=True).equal(second)


def test_images_of_a_batch_share_their_randomness_no_more_than_chance_would_have_it() -> None:
    # Identical images, shifts of -8..8 in two directions: 17 · 17 ways.
    ways = 17 * 17
    moved = augment(coordinates(600, 32), 1.0, generator(), flip=False)
    shown = _visible_centres(moved, 16)
    distinct = len({(int(row), int(column)) for row, column in shown})
    # Of n independent draws among W ways, W·(1 - (1 - 1/W)^n) different ones show in the mean, at
    # a variance below W/4; six deviations. A batch that shared its draw would show one.
    expected = ways * (1 - (1 - 1 / ways) ** len(shown))
    assert abs(distinct - expected) < 6 * (ways / 4) ** 0.5
    # Neighbours move equally in one direction once in 17.
    pairs = len(shown) - 1
    for axis in range(2):
        equal = int((shown[1:, axis] == shown[:-1, axis]).sum())
        assert abs(equal - pairs / 17) < 6 * (pairs / 17) ** 0.5


def _visible_centres(images: torch.Tensor, centre: int) -> torch.Tensor:
    """What is shown at the centre of each image (its source row and column), where not blank."""
    shown = images[:, :, centre, centre]
    return shown[shown[:, 0] > 0]


@pytest.mark.parametrize(("strength", "reach"), [(0.25, 2), (0.5, 4), (1.0, 8)])
def test_shifts_are_whole_pixels_evenly_spread_up_to_their_share_of_the_side(
    strength: float, reach: int
) -> None:
    num_images = 6000
    moved = augment(coordinates(num_images, 32), strength, generator(), flip=False)
    shifts = _visible_centres(moved, 16).long() - 17
    assert shifts.min() == -reach
    assert shifts.max() == reach
    expected = len(shifts) / (2 * reach + 1)
    for axis in range(2):
        counts = torch.bincount(shifts[:, axis] + reach)
        # Six standard deviations: a false alarm once in 10^8.
        assert (counts - expected).abs().max() < 6 * expected**0.5


def test_gaps_are_filled_by_reflection() -> None:
    side = 8
    padded = torch.nn.functional.pad(coordinates(1, side).float(), (2, 2, 2, 2), mode="reflect")
    windows = torch.stack(
        [padded[0, :, r : r + side, c : c + side] for r in range(5) for c in range(5)]
    )
    moved = augment(coordinates(300, side), 1.0, generator(), flip=False, fill=(1.0, 1.0))
    blank = moved == 255
    agrees = (moved[:, None] == windows) | blank[:, None]  # (N, windows, C, H, W)
    assert agrees.flatten(2).all(2).any(1).all(), "every image is one of the 25 crops"
    assert (~blank).flatten(1).any(1).all()


def test_mirroring_happens_to_half_the_images_and_only_where_allowed() -> None:
    images = coordinates(4000, 32)
    for flip, share in ((True, 0.5), (False, 0.0)):
        moved = augment(images, 0.5, generator(), flip=flip).long()
        steps = (moved[:, 1, 16, 1:] - moved[:, 1, 16, :-1]).sign().sum(1)
        mirrored = (steps < 0).float().mean().item()
        assert mirrored == pytest.approx(share, abs=0.05 if flip else 0.0)


def test_weak_augmentation_mirrors_less() -> None:
    moved = augment(coordinates(4000, 32), 0.1, generator(), flip=True).long()
    steps = (moved[:, 1, 16, 1:] - moved[:, 1, 16, :-1]).sign().sum(1)
    assert (steps < 0).float().mean().item() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("strength", "length"), [(0.5, 8), (1.0, 16)])
def test_one_square_of_each_image_is_filled(strength: float, length: int) -> None:
    images = torch.full((500, 3, 32, 32), 200, dtype=torch.uint8)
    cut = augment(images, strength, generator(), flip=True, fill=(0.0, 0.2, 1.0))
    blank = cut[:, 0] != 200  # (N, H, W)
    heights, widths = blank.any(2).sum(1), blank.any(1).sum(1)
    assert heights.max() == length
    assert widths.max() == length
    assert min(heights.min(), widths.min()) >= length // 2  # clipped at the border, not moved
    assert (blank.sum((1, 2)) == heights * widths).all(), "a filled rectangle"
    for channel, value in enumerate((0, 51, 255)):
        assert (cut[:, channel][blank] == value).all()
        assert (cut[:, channel][~blank] == 200).all()
    assert len(blank.flatten(1).unique(dim=0)) > 250, "each image has its own square"


def test_an_empty_batch_stays_empty() -> None:
    assert augment(random_images(0), 0.5, generator(), flip=True).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalised_images_have_zero_mean_and_unit_deviation(channels: int) -> None:
    images = random_images(200, channels, 8)
    plain = images.double() / 255
    mean, std = plain.mean((0, 2, 3)), plain.std((0, 2, 3), correction=0)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        numbers = normalise(images, mean.tolist(), std.tolist(), memory_format=memory_format)
        assert numbers.dtype == torch.float32
        assert numbers.is_contiguous(memory_format=memory_format)
        expected = (plain - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
        torch.testing.assert_close(numbers.double(), expected, atol=2e-6, rtol=1e-5)


def test_a_mean_for_another_number_of_channels_is_refused() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        normalise(random_images(), (0.5, 0.5), (0.5, 0.5))
