"""What every place for files can do, wherever it lies."""

from __future__ import annotations

import contextlib
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO, Self

from archsearch.errors import UnfitError
from archsearch.files import atomic_writer

COPY_BYTES = 8 * 2**20
"""How much of a file is copied at a time."""


class StorageError(UnfitError):
    """An object store does not answer, or refuses."""


class StoragePath(ABC):
    """A file or folder, as `pathlib.Path` is, wherever it lies."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The last component."""

    @abstractmethod
    def __truediv__(self, name: str) -> Self:
        """A file or folder in this one."""

    @abstractmethod
    def __str__(self) -> str:
        """What `storage_path` makes the same place of."""

    @abstractmethod
    def absolute(self) -> Self:
        """The same place, whatever folder a process works in."""

    @abstractmethod
    def open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open a file for reading; a seekable handle.

        Raises:
            OSError: There is no such file, or a disk refuses.
            StorageError: The store does not answer, or refuses.
        """

    @abstractmethod
    def write(self, *parts: bytes) -> None:
        """Publish a file, its parts one after the other: whole or not at all.

        Raises:
            OSError: A disk refuses; nothing is left behind.
            StorageError: The store does not answer, or refuses.
        """

    @abstractmethod
    def append(self, content: bytes) -> None:
        """Add to the end of a file that has one writer; made if need be.

        Raises:
            OSError: A disk refuses.
            StorageError: The store does not answer, or refuses.
        """

    @abstractmethod
    def publish(self, source: Path) -> None:
        """Publish a copy of a local file: whole or not at all.

        Raises:
            OSError: A disk refuses; nothing is left behind.
            StorageError: The store does not answer, or refuses.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove a file; one that is gone already is no error.

        Raises:
            OSError: A disk refuses.
            StorageError: The store does not answer, or refuses.
        """

    @abstractmethod
    def tree(self) -> dict[str, int]:
        """The files in this folder and below, by relative path with `/`, and their bytes.

        Empty for a folder that is not there. A store is asked once, whatever there is.

        Raises:
            OSError: A disk refuses.
            StorageError: The store does not answer, or refuses.
        """

    @abstractmethod
    def files(self) -> dict[str, int]:
        """The files in this folder alone, by name, and their bytes; raises as `tree`."""

    @abstractmethod
    def make_folder(self, *, parents: bool = False) -> None:
        """Make sure that files can be put into this folder; nothing to do in object stores.

        Raises:
            OSError: It cannot be made, or without `parents` the folder above is not there.
        """

    @abstractmethod
    def local_copy(self) -> contextlib.AbstractContextManager[Path]:
        """A file under a path of this machine: itself, or a copy for as long as the block lasts.

        Raises:
            OSError: There is no such file, or a disk refuses.
            StorageError: The store does not answer, or refuses.
        """

    def read(self) -> bytes:
        """All of a file; raises as `open`."""
        with self.open() as handle:
            return handle.read()

    def fetch(self, target: Path) -> None:
        """Copy a file to this machine, whole or not at all; raises as `open`."""
        with self.open() as source, atomic_writer(target) as sink:
            shutil.copyfileobj(source, sink, COPY_BYTES)
