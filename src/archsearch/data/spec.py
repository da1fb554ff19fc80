"""What is asked of a data set, and what preparing it promises."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from archsearch.data.own import check_reference, is_own
from archsearch.data.sources import data_set_named
from archsearch.errors import UsageError
from archsearch.schema import Frozen, InputSpec

MAX_IMAGE_SIZE = 512


class DataSpec(Frozen):
    """A data set by name, optionally with fewer training images or images of another size.

    Raises:
        UsageError: If the name is unknown or a number is out of range (all of it at once).
    """

    name: str
    """One of `DATA_SETS`, or data of one's own as `FILE.py:NAME` (see `read_own`)."""
    train_size: int | None = None
    """How many training images to keep; None keeps all. Validation and test stay whole."""
    image_size: int | None = None
    """Side in pixels that images are resized to at import; None keeps the data set's own."""

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> Self:
        problems = []
        try:
            (check_reference if is_own(self.name) else data_set_named)(self.name)
        except UsageError as error:
            problems.append(str(error))
        if self.train_size is not None and self.train_size < 1:
            problems.append(f"`train_size >= 1` must hold, but got train_size={self.train_size}")
        if self.image_size is not None and not 1 <= self.image_size <= MAX_IMAGE_SIZE:
            problems.append(
                f"`1 <= image_size <= {MAX_IMAGE_SIZE}` must hold, "
                f"but got image_size={self.image_size}"
            )
        if problems:
            raise UsageError("; ".join(problems))
        return self


class PreparedData(Frozen):
    """One Arrow file that is there and was verified; small, JSON-able, travels to workers."""

    name: str
    path: str
    """Absolute path of the Arrow file."""
    num_classes: int = Field(ge=2)
    in_channels: int = Field(ge=1)
    image_size: int = Field(ge=1)
    class_names: tuple[str, ...]
    num_train: int = Field(ge=1)
    """Training images in use, after `train_size`."""
    num_val: int = Field(ge=1)
    num_test: int = Field(ge=1)
    train_size: int | None
    """What was asked for; None means the whole training split."""
    mean: tuple[float, ...]
    """Per channel, of the whole training split (whatever `train_size`), in 0..1."""
    std: tuple[float, ...]
    """Per channel, as `mean`; at least 1/255, so that a constant channel divides by no zero."""
    digest: str
    """SHA-256 of images, labels and splits, at this image size; `train_size` is not in it."""
    split_digest: str
    """SHA-256 of which image is in which split; the same at every image size."""
    flip: bool
    """Whether a mirrored image keeps its label (not so for digits and house numbers)."""
    multi_label: bool = False
    """Whether an image may have several of the classes, or none, so that each is a question."""

    @property
    def input_spec(self) -> InputSpec:
        """What a network for this data is fed and must answer."""
        return InputSpec(
            in_channels=self.in_channels,
            image_size=self.image_size,
            num_classes=self.num_classes,
        )
