"""Places on a disk of this machine, or on one that it shares with others."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from archsearch.files import atomic_writer
from archsearch.storage.place import COPY_BYTES, StoragePath


@dataclass(frozen=True)
class LocalPath(StoragePath):
    """A path of this machine, or of a file system that it shares with others."""

    path: Path

    @property
    def name(self) -> str:
        """The last component."""
        return self.path.name

    def __truediv__(self, name: str) -> LocalPath:
        return LocalPath(self.path / name)

    def __str__(self) -> str:
        return str(self.path)

    def absolute(self) -> LocalPath:
        """The same place, whatever folder a process works in."""
        return LocalPath(self.path.absolute())

    def open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """As of every place."""
        return self.path.open("rb")

    def write(self, *parts: bytes) -> None:
        """As of every place."""
        with atomic_writer(self.path) as handle:
            for part in parts:
                handle.write(part)

    def append(self, content: bytes) -> None:
        """As of every place."""
        with self.path.open("ab") as handle:
            handle.write(content)

    def publish(self, source: Path) -> None:
        """As of every place."""
        with source.open("rb") as content, atomic_writer(self.path) as sink:
            shutil.copyfileobj(content, sink, COPY_BYTES)

    def remove(self) -> None:
        """As of every place."""
        self.path.unlink(missing_ok=True)

    def tree(self) -> dict[str, int]:
        """As of every place."""
        return dict(_files_below(self.path))

    def files(self) -> dict[str, int]:
        """As of every place."""
        return dict(_files_in(self.path))

    def make_folder(self, *, parents: bool = False) -> None:
        """As of every place."""
        self.path.mkdir(parents=parents, exist_ok=True)

    @contextlib.contextmanager
    def local_copy(self) -> Iterator[Path]:
        """As of every place."""
        self.path.stat()
        yield self.path


def _files_in(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        found = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        with contextlib.suppress(FileNotFoundError):  # removed since
            if entry.is_file():
                yield entry.name, entry.stat().st_size


def _files_below(folder: Path) -> Iterator[tuple[str, int]]:
    yield from _files_in(folder)
    try:
        inner = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in inner:
        yield from ((f"{name}/{path}", size) for path, size in _files_below(folder / name))
