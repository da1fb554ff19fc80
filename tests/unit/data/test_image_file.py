"""Image files as a network's input: every mode that Pillow reads, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsearch.data.image_file import ImageFileError, read_image
from archsearch.data.resize import resize_images

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (8, 8), dtype=np.uint8)
COLOUR = GENERATOR.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options: Any) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def test_an_image_of_the_model_s_own_size_and_mode_is_left_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(GREY))
    assert np.array_equal(read_image(path, 1, 8), GREY[np.newaxis])
    path = saved(tmp_path, Image.fromarray(COLOUR))
    pixels = read_image(path, 3, 8)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_becomes_grey_or_colour(tmp_path: Path, mode: str, channels: int) -> None:
    grey = Image.new("L", (8, 8), 255)
    if mode.startswith("I"):
        image = Image.fromarray(np.full((8, 8), 65535, np.uint16)).convert(mode)
    else:
        image = grey.convert(mode)
    path = saved(tmp_path, image, "image.tif" if mode in ("CMYK", "YCbCr", "I") else "image.png")
    pixels = read_image(path, channels, 8)
    assert pixels.shape == (channels, 8, 8)
    assert pixels.min() >= 254  # white stays white


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    path = saved(tmp_path, Image.fromarray(values))
    assert np.array_equal(read_image(path, 1, 8)[0], (values // 257).astype(np.uint8))


def test_the_middle_square_is_resized_as_data_sets_are(tmp_path: Path) -> None:
    wide = GENERATOR.integers(0, 256, (40, 64), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(wide))
    expected = resize_images(wide[np.newaxis, np.newaxis, :, 12:52], 10)[0]
    assert np.array_equal(read_image(path, 1, 10), expected)


def test_a_photograph_keeps_its_shades(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 3000).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(np.broadcast_to(ramp, (2500, 3000))))
    row = read_image(path, 1, 16)[0, 0].astype(int)
    expected = np.linspace(ramp[250], ramp[2749], 33)[1::2]  # the middles of 16 parts
    assert np.abs(row - expected)[1:-1].max() <= 1  # the filter is cut at the borders


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the right side is the top
    path = saved(tmp_path, Image.fromarray(GREY), exif=exif)
    assert np.array_equal(read_image(path, 1, 8)[0], np.rot90(GREY, -1))


def test_a_film_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in (200, 10)]
    path = tmp_path / "film.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert read_image(path, 1, 8).min() == 200


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "PNG")
    return buffer.getvalue()


def bmp_of(width: int, height: int) -> bytes:
    """A header that promises so many pixels."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    content[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no image"),
        (b"hello", "no image"),
        (png()[:60], "cannot be read"),
        (png()[:40] + b"\0" * 8 + png()[48:], "no image|cannot be read"),
        (bmp_of(20_000, 20_000), "more than 89,478,485 pixels"),
        (bmp_of(10_000, 10_000), "more than 89,478,485 pixels"),
    ],
    ids=["empty", "text", "cut", "damaged", "bomb", "too large"],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=reason):
        read_image(path, 3, 8)


def test_what_is_no_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="no such file"):
        read_image(tmp_path / "missing.png", 3, 8)
    with pytest.raises(ImageFileError, match="it is a folder"):
        read_image(tmp_path, 3, 8)
    floats = saved(tmp_path, Image.fromarray(np.ones((8, 8), np.float32)), "floats.tif")
    with pytest.raises(ImageFileError, match="floating-point"):
        read_image(floats, 1, 8)
