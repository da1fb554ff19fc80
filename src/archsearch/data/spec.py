"""What is asked of a data set."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from archsearch.data.own import MAX_IMAGE_SIZE, check_own, is_own
from archsearch.data.sources import data_set_named
from archsearch.errors import UsageError
from archsearch.schema import Frozen


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
            (check_own if is_own(self.name) else data_set_named)(self.name)
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
