"""Where the images of a search come from: the door for another kind of data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from archsearch.data.arrow_file import DataHeader


@dataclass(frozen=True)
class ArrowFile:
    """An Arrow file that is there and was found undamaged.

    Attributes:
        path: Where, as an absolute path.
        header: What it says of itself.
    """

    path: Path
    header: DataHeader


class DataSource(Protocol):
    """One data set in the form in which it was found or given, which becomes one Arrow file.

    A source is chosen by `source_of` in `archsearch.data.preparation`. It is asked on the machine
    that starts a search. Workers, and whoever looks at the search later, read the Arrow file.

    Call order:
        `arrow_file`, as often as a command needs the data. Nothing else is called.

    Obligations:
        - `arrow_file` returns a file that is there and undamaged. Several processes may ask at
          once: one makes it, the others wait and use it (`whole_or_made`). It appears whole or
          not at all.
        - The same images and labels make a file with the same digest; others never get the same
          path. Which image is in which split follows from the data alone.
        - A user's code runs through `archsearch.user_code` only. Nothing is unpickled.
        - Everything that is wrong with the data is told in one `UnfitError`, and everything that
          is wrong with its name or its options in one `UsageError`.
    """

    def arrow_file(self, cache_dir: Path) -> ArrowFile:
        """The data's Arrow file below `cache_dir`, made if need be.

        Args:
            cache_dir: An absolute path. A valid file in a folder that cannot be written is used.

        Raises:
            UsageError: There is no such data, or an option does not go with it.
            UnfitError: The data is missing or damaged, or `cache_dir` cannot be written.
        """
        ...
