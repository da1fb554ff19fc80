"""Image files as a network's input: what Pillow reads, made as square and coloured as asked."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from archsearch.data.resize import resize_images

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {1: "L", 3: "RGB"}
_EXACT_SIDE = 1024
"""From twice as many pixels on, whole blocks of pixels are averaged first."""


class ImageFileError(ValueError):
    """A file cannot be used as an image; the message says why, without its name."""


def read_image(path: Path, in_channels: int, image_size: int) -> npt.NDArray[np.uint8]:
    """An image file as (C, H, W) of uint8, H = W = `image_size`.

    It is turned as its EXIF data says and converted to grey or colour (transparency is dropped,
    as torchvision's loader does); the largest square in its middle is resized as data sets are at
    import. Of several frames the first is taken.

    Args:
        path: The file.
        in_channels: 1 for grey, 3 for colour.
        image_size: The side in pixels.

    Raises:
        ImageFileError: It is missing, unreadable, no image, damaged, or too large to be safe.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                opened.load()
                image = upright(opened).convert(_MODES[in_channels])
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                square = image.crop((left, top, left + side, top + side))
                # The exact resizer wants 8 bytes a pixel: large photographs are made less first.
                pixels = np.asarray(square.reduce(max(1, side // _EXACT_SIDE)), dtype=np.uint8)
    except UnidentifiedImageError:
        raise ImageFileError("it is no image in a format that Pillow knows") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = Image.MAX_IMAGE_PIXELS or 0
        raise ImageFileError(f"it has more than {limit:,} pixels") from None
    except FileNotFoundError:
        raise ImageFileError("there is no such file") from None
    except IsADirectoryError:
        raise ImageFileError("it is a folder: name the files in it") from None
    except MemoryError:
        raise ImageFileError("it does not fit into memory") from None
    # Pillow's readers of damaged files raise whatever their parsers meet.
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        told = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ImageFileError(f"it cannot be read: {told or type(error).__name__}") from None
    channels = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    resized: npt.NDArray[np.uint8] = resize_images(channels[np.newaxis], image_size)[0]
    return resized


def upright(image: Image) -> Image:
    """A picture of 8 bits a channel, turned as its EXIF data says.

    Raises:
        ImageFileError: Its pixels have no known range.
    """
    from PIL import ImageOps

    return _eight_bits(ImageOps.exif_transpose(image))


def _eight_bits(image: Image) -> Image:
    """An image of 16 bits a pixel as one of 8; Pillow itself would cut values above 255."""
    from PIL import Image as Images

    if image.mode == "F":
        raise ImageFileError("its pixels are floating-point numbers of no known range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.size and not (values.min() >= 0 and values.max() <= 0xFFFF):
            raise ImageFileError("its pixels are not of 16 bits")
        return Images.fromarray((values // 257).astype(np.uint8))
    return image
