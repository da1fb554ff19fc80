"""Samples of a user's data set, checked one by one: a wrong one is named before any trial."""

from __future__ import annotations

import contextlib
import operator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from archsearch.data.image_file import ImageFileError, upright
from archsearch.data.raw import MAX_RAW_BYTES, LabelledImages
from archsearch.data.resize import resize_images
from archsearch.errors import UnfitError
from archsearch.user_code import explained

MAX_CHANNELS = 64
MAX_SIDE = 4096
_NUM_READ_AGAIN = 8
_PLAIN_MODES = ("L", "LA", "RGB", "RGBA")
"""Of PIL: the others hold indices, bits or numbers of another range."""

_CHUNK_BYTES = 2**24
"""Of images as they are read, before they are made smaller together."""

_BLANK_SHARE = 0.9
"""If more of a part's images are one value everywhere, the same one, nothing can be learned."""


class SampleReader:
    """Reads one part of a user's data set.

    An image is a PIL image of mode L, LA, RGB or RGBA or of 16 bits a pixel, which is turned as
    its EXIF data says, as files are at prediction; a NumPy array (height, width) or (height,
    width, channels), or a tensor (height, width) or (channels, height, width): square, all of one
    shape, of uint8, or of real numbers in 0..1. A label is a whole number from 0 on.

    Args:
        subject: How a sentence about the data begins.
        part: `train` or `test`.
        data: What the user's code made.

    Attributes:
        part: As given.
        shape: (channels, height, width) of its first image.

    Raises:
        UnfitError: It has no samples, or the first one cannot be used.
    """

    def __init__(self, subject: str, part: str, data: Any) -> None:
        self._subject = subject
        self.part = part
        self._data = data
        with explained(subject, f"the length of its {part} part"):
            self._length = len(data)
        if self._length < 1:
            raise UnfitError(f"{subject}: its {part} part has no samples")
        first, _ = self._sample(0)
        channels, height, width = first.shape
        if height != width:
            raise self._refusal(
                0, f"has an image of {height} high and {width} wide", "images must be square"
            )
        if not (1 <= channels <= MAX_CHANNELS and 1 <= height <= MAX_SIDE):
            raise self._refusal(
                0,
                f"has an image of {channels} channels, {height} high and {width} wide",
                f"1 to {MAX_CHANNELS} channels and a side of 1 to {MAX_SIDE} pixels can be used; "
                "arrays are (height, width, channels), tensors (channels, height, width)",
            )
        self.shape: tuple[int, int, int] = (channels, height, width)

    def read(self, shape: tuple[int, int, int], image_size: int) -> LabelledImages:
        """Every sample, converted; the first ones of a few are read again to see them unchanged.

        Args:
            shape: (channels, height, width) that all must have.
            image_size: The side in pixels that they are made to, a few at a time.

        Raises:
            UnfitError: There are too many, or one of them cannot be used.
        """
        images = self._room_for((shape[0], image_size, image_size))
        labels = np.empty(self._length, dtype=np.int64)
        chunk = max(1, _CHUNK_BYTES // int(np.prod(shape)))
        for start in range(0, self._length, chunk):
            rows = range(start, min(start + chunk, self._length))
            read = np.empty((len(rows), *shape), dtype=np.uint8)
            for place, index in enumerate(rows):
                read[place], labels[index] = self._checked(index, shape)
            images[start : rows.stop] = resize_images(read, image_size)
        for index in np.linspace(0, self._length - 1, _NUM_READ_AGAIN).astype(int).tolist():
            image, label = self._checked(index, shape)
            again = resize_images(image[np.newaxis], image_size)[0]
            if label != labels[index] or not np.array_equal(again, images[index]):
                raise self._refusal(
                    index,
                    "is another one when it is read again",
                    "a data set must give the same each time: leave shuffling and random changes "
                    "of images out, the search makes its own",
                )
        self._check_pixels(images)
        return LabelledImages(images, labels)

    def _check_pixels(self, images: npt.NDArray[np.uint8]) -> None:
        """Refuse a part whose images are nearly all the same blank one, as cut values look."""
        flat = images.reshape(len(images), -1)
        first = flat[:, 0]
        blank = first[flat.min(axis=1) == flat.max(axis=1)]
        if not len(blank):
            return
        values, counts = np.unique(blank, return_counts=True)
        value, count = int(values[counts.argmax()]), int(counts.max())
        if len(images) > 1 and count > _BLANK_SHARE * len(images):
            raise UnfitError(
                f"{self._subject}: {count:,} of {len(images):,} images of its {self.part} part "
                f"have one value everywhere, {value}: nothing can be learned from them. A picture "
                "of 16 bits loses all above 255 by convert('RGB'): give it as it was opened"
            )

    def check_labels(self, labels: npt.NDArray[np.int64], num_classes: int) -> None:
        """Refuse labels that are no class.

        Raises:
            UnfitError: The first of them, with its sample.
        """
        wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
        if len(wrong):
            index = int(wrong[0])
            raise self._refusal(
                index,
                f"has the label {labels[index]}",
                f"labels must lie in 0..{num_classes - 1} (of {num_classes} classes)",
                f", and {len(wrong) - 1} more like it" if len(wrong) > 1 else "",
            )

    def _room_for(self, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
        size = self._length * int(np.prod(shape))
        with contextlib.suppress(MemoryError):
            if size <= MAX_RAW_BYTES:
                return np.empty((self._length, *shape), dtype=np.uint8)
        raise UnfitError(
            f"{self._subject}: {self._length:,} images of "
            f"{shape[0]} × {shape[1]} × {shape[2]} are {size / 2**30:,.1f} GiB, more than memory "
            f"or the limit of {MAX_RAW_BYTES / 2**30:.0f} GiB allows: ask for a smaller "
            "--image-size"
        )

    def _checked(
        self, index: int, shape: tuple[int, int, int]
    ) -> tuple[npt.NDArray[np.uint8], int]:
        image, label = self._sample(index)
        if image.shape != shape:
            raise self._refusal(
                index,
                f"has an image of {_written(image.shape)}",
                f"all must have the shape of the first one, {_written(shape)}",
            )
        return image, label

    def _sample(self, index: int) -> tuple[npt.NDArray[np.uint8], int]:
        with explained(self._subject, f"sample {index} of its {self.part} part"):
            sample = self._data[index]
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            held = f" of {len(sample)}" if isinstance(sample, tuple | list) else ""
            raise self._refusal(
                index,
                f"is a {type(sample).__name__}{held}",
                "a sample must be a pair of an image and a label",
            )
        return self._image(index, sample[0]), self._label(index, sample[1])

    def _label(self, index: int, label: Any) -> int:
        try:
            number = operator.index(label)
        except TypeError:
            shape = getattr(label, "shape", ())
            told = f" of shape {tuple(shape)}" if len(shape) else f" {label!r:.60}"
            raise self._refusal(
                index,
                f"has a label that is a {type(label).__name__}{told}",
                "a label must be one whole number",
            ) from None
        if not 0 <= number < 2**31:
            raise self._refusal(index, f"has the label {number}", "labels are counted from 0 on")
        return number

    def _image(self, index: int, image: Any) -> npt.NDArray[np.uint8]:
        """(C, H, W) of uint8."""
        array = self._array(index, image)
        if array.dtype == np.uint8:
            return array
        if not np.issubdtype(array.dtype, np.floating):
            raise self._refusal(
                index,
                f"has an image of {array.dtype}",
                "images must be uint8, or real numbers in 0..1",
            )
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        if not (low >= 0.0 and high <= 1.0):  # NaN fails both
            raise self._refusal(
                index,
                f"has values from {low:.6g} to {high:.6g}",
                "real numbers must lie in 0..1: leave normalisation out, the search makes its own",
            )
        scaled: npt.NDArray[np.uint8] = np.floor(array * 255.0 + 0.5).astype(np.uint8)
        return scaled

    def _array(self, index: int, image: Any) -> npt.NDArray[Any]:
        """(C, H, W) of the image's own numbers."""
        if isinstance(image, torch.Tensor):
            tensor = image.detach().cpu()
            array = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
            channels_last = False
        else:
            if isinstance(image, Image.Image):
                image = self._plain_picture(index, image)
            elif not isinstance(image, np.ndarray):
                raise self._refusal(
                    index,
                    f"has an image that is a {type(image).__name__}",
                    "an image must be a PIL image, a NumPy array or a tensor",
                )
            array, channels_last = np.asarray(image), True
        if array.ndim == 2:
            return array[np.newaxis]
        if array.ndim != 3:
            raise self._refusal(
                index,
                f"has an image of shape {array.shape}",
                "arrays are (height, width) or (height, width, channels), tensors (height, width) "
                "or (channels, height, width)",
            )
        return array.transpose(2, 0, 1) if channels_last else array

    def _plain_picture(self, index: int, image: Image.Image) -> Image.Image:
        """A picture of 8 bits a channel, turned as its EXIF data says."""
        try:
            with explained(self._subject, f"sample {index} of its {self.part} part"):
                plain = upright(image)
        except ImageFileError as error:
            raise self._refusal(
                index, "is a PIL image that cannot be used", f"{error}: give a NumPy array"
            ) from None
        if plain.mode not in _PLAIN_MODES:
            raise self._refusal(
                index,
                f"is a PIL image of mode {plain.mode}",
                f"{', '.join(_PLAIN_MODES)} can be used: image.convert('RGB') makes one",
            )
        return plain

    def _refusal(self, index: int, what: str, allowed: str, more: str = "") -> UnfitError:
        return UnfitError(
            f"{self._subject}: sample {index} of its {self.part} part {what}{more}; {allowed}"
        )


def _written(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} channel{'s' * (shape[0] != 1)}, {shape[1]} high and {shape[2]} wide"
