"""Data of a user's own module, read anew by every command: only then is it known what it holds."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from archsearch.data.conversion import convert, undamaged, whole_or_made
from archsearch.data.own import data_name, read_own, subject_of
from archsearch.data.source import ArrowFile
from archsearch.errors import UnfitError, UsageError
from archsearch.user_code import call_in_process


@dataclass(frozen=True)
class OwnSource:
    """A `DataSource` of what a user's module makes.

    Attributes:
        reference: Names it, as `FILE.py:NAME` or `PACKAGE.MODULE:NAME`.
        image_size: The side in pixels that images are made to; None keeps theirs.
        data_dir: Not for this source, which finds its own files.
    """

    reference: str
    image_size: int | None = None
    data_dir: Path | None = None

    def arrow_file(self, cache_dir: Path) -> ArrowFile:
        """See `DataSource.arrow_file`; the module runs in a process of its own."""
        if self.data_dir is not None:
            raise UsageError(
                "--data-dir holds the files of a data set that is known by name; "
                f"`{self.reference}` finds its own: leave --data-dir out"
            )
        arguments = {
            "reference": self.reference,
            "image_size": self.image_size,
            "cache_dir": str(cache_dir),
        }
        subject = subject_of(self.reference)
        path = Path(call_in_process(f"{__name__}:make_own", arguments, subject=subject))
        header = undamaged(path, logging.WARNING)
        if header is None:
            raise UnfitError(f"{path}: is gone or damaged since it was made; run this again")
        return ArrowFile(path, header)


def make_own(*, reference: str, image_size: int | None, cache_dir: str) -> str:
    """Read the user's data, and make sure that its Arrow file is there and undamaged.

    It runs the user's code: `call_in_process` calls it in a process of its own.

    Args:
        reference: Names the user's data.
        image_size: The side in pixels that images are made to; None keeps theirs.
        cache_dir: Where Arrow files are kept, as an absolute path.

    Returns:
        The file's path.

    Raises:
        UsageError: There is no such file, module or name in it.
        UnfitError: The data cannot be used, or the folder cannot be written.
    """
    own = read_own(reference, image_size)
    side = own.described.shape[1]
    path = Path(cache_dir) / f"{data_name(reference)}-{side}-{own.fingerprint}.arrow"
    made = whole_or_made(path, lambda new: convert(new, own.described, side, own.raw))
    return str(made.path)
