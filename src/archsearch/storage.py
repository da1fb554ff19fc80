"""Places for files that every worker reaches: a folder, a shared mount, or an object store.

A place is named by a path or by the URI of any file system that pyarrow knows, such as
`s3://BUCKET/PREFIX`. What is published is there whole or not at all: on disks by a temporary name,
a flush and a rename, in object stores by one upload, which appears when it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from archsearch.errors import UnfitError, UsageError
from archsearch.files import atomic_writer
from archsearch.redaction import holds_secret, redact

RETRY_SECONDS = 30.0
"""How long an object store that does not answer is asked again; it may be starting again."""

_COPY_BYTES = 8 * 2**20
_T = TypeVar("_T")

# In the words of Arrow and of the stores' own libraries.
_FOR_GOOD = re.compile(
    r"ACCESS_DENIED|SIGNATURE_DOES_NOT_MATCH|NO_SUCH_BUCKET|INVALID_|UNRECOGNIZED_CLIENT|"
    r"EXPIRED|HTTP status 4\d\d|PERMISSION_DENIED|UNAUTHENTICATED|NOT_FOUND|No bucket"
)


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
            shutil.copyfileobj(source, sink, _COPY_BYTES)


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
            shutil.copyfileobj(content, sink, _COPY_BYTES)

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


@dataclass(frozen=True)
class ObjectPath(StoragePath):
    """A key of an object store, or a path of another file system that pyarrow knows.

    Attributes:
        uri: Its URI; options of the store, such as `endpoint_override`, after a `?`. Without
            secrets: those come from the environment of each process.
    """

    uri: str

    @property
    def name(self) -> str:
        """The last component."""
        return self._key.rpartition("/")[2]

    def __truediv__(self, name: str) -> ObjectPath:
        parts = urlsplit(self.uri)
        return ObjectPath(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}")))

    def __str__(self) -> str:
        return self.uri

    def absolute(self) -> ObjectPath:
        """Itself."""
        return self

    def open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """As of every place; the file is read whole, in one request."""
        # Behind a reader: of a bare `BytesIO`, `hashlib.file_digest` takes all from its start.
        return io.BufferedReader(io.BytesIO(self.read()))

    def read(self) -> bytes:
        """All of a file, in one request; raises as `open`."""

        def get(system: Any, key: str) -> bytes:
            with system.open_input_stream(key) as stream:
                return bytes(stream.read())

        return self._ask("read", get)

    def write(self, *parts: bytes) -> None:
        """As of every place."""
        content = b"".join(parts)

        def put(system: Any, key: str) -> None:
            with self._new(system, key) as stream:
                stream.write(content)

        self._ask("written", put)

    def append(self, content: bytes) -> None:
        """As of every place; the file is written anew."""
        try:
            before = self.read()
        except FileNotFoundError:
            before = b""
        self.write(before, content)

    def publish(self, source: Path) -> None:
        """As of every place."""

        def put(system: Any, key: str) -> None:
            with source.open("rb") as content, self._new(system, key) as stream:
                shutil.copyfileobj(content, stream, _COPY_BYTES)

        self._ask("written", put)

    def remove(self) -> None:
        """As of every place."""
        with contextlib.suppress(FileNotFoundError):
            self._ask("removed", lambda system, key: system.delete_file(key))

    def tree(self) -> dict[str, int]:
        """As of every place."""
        return self._listed(recursive=True)

    def files(self) -> dict[str, int]:
        """As of every place."""
        return self._listed(recursive=False)

    def make_folder(self, *, parents: bool = False) -> None:
        """Nothing: a key needs no folder, and other file systems make it with the file."""

    @contextlib.contextmanager
    def local_copy(self) -> Iterator[Path]:
        """As of every place."""
        with tempfile.TemporaryDirectory(prefix="archsearch-") as folder:
            copy = Path(folder) / self.name
            copy.write_bytes(self.read())
            yield copy

    @property
    def _key(self) -> str:
        """The path within the store, as pyarrow wants it: with the bucket, without the scheme."""
        parts = urlsplit(self.uri)
        return "/".join(p for p in (parts.netloc, unquote(parts.path).strip("/")) if p)

    def _ask(self, what: str, request: Callable[[Any, str], _T]) -> _T:
        """The answer to a request, which is made again while the store does not answer."""
        import pyarrow as pa
        from tenacity import (
            Retrying,
            retry_if_exception,
            stop_after_delay,
            wait_random_exponential,
        )

        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(RETRY_SECONDS),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            reraise=True,
        )
        try:
            return retrying(lambda: request(_file_system(self.uri), self._key))
        except FileNotFoundError as error:
            told = os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, told, str(self)) from error
        except (OSError, pa.ArrowException) as error:
            reason = redact((str(error) or type(error).__name__).splitlines()[0])
            raise StorageError(f"{redact(self.uri)}: cannot be {what}: {reason}") from error

    @staticmethod
    def _new(system: Any, key: str) -> Any:
        if system.type_name not in _FLAT:
            system.create_dir(key.rpartition("/")[0], recursive=True)
        return system.open_output_stream(key)

    def _listed(self, *, recursive: bool) -> dict[str, int]:
        from pyarrow import fs

        def ask(system: Any, key: str) -> dict[str, int]:
            selector = fs.FileSelector(key, allow_not_found=True, recursive=recursive)
            found = system.get_file_info(selector)
            start = len(key.strip("/")) + 1
            files = (info for info in found if info.type == fs.FileType.File)
            return {info.path.strip("/")[start:]: info.size for info in files}

        return self._ask("listed", ask)


_FLAT = frozenset({"s3", "gcs", "abfs"})
"""File systems, in pyarrow's words, in which a key needs no folders."""


def storage_path(text: str) -> StoragePath:
    """The place that a path or a URI names.

    Raises:
        UsageError: It names none, or a secret is in it.
    """
    scheme = urlsplit(text).scheme if "://" in text else ""
    if "://" in text and not scheme:
        raise UsageError(f"{redact(text)!r} names no storage: its URI has no scheme such as s3")
    if not scheme or scheme == "file":
        path = Path(unquote(urlsplit(text).path) if scheme else text)
        if not text.strip() or not path.parts:
            raise UsageError(f"{text!r} names no storage: give a folder or a URI (s3://BUCKET/…)")
        return LocalPath(path.absolute())
    parts = urlsplit(text)
    if "@" in parts.netloc or holds_secret(text):
        raise UsageError(
            f"{redact(text)}: leave the credentials out of the storage's URI: every process takes "
            "them from its environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "GOOGLE_APPLICATION_CREDENTIALS), a role, or the store's own files"
        )
    if not parts.netloc:
        raise UsageError(f"{text}: no bucket is named: give {scheme}://BUCKET/PREFIX")
    return ObjectPath(urlunsplit(parts._replace(path=parts.path.rstrip("/"))))


def check_storage(place: StoragePath) -> None:
    """Make sure that a place can be used, by a file that is put there and removed.

    Raises:
        UsageError: pyarrow cannot read the URI.
        UnfitError: The place cannot be written; the sentence says why.
    """
    probe = place / f".probe-{os.urandom(6).hex()}"
    try:
        place.make_folder(parents=True)
        probe.write(b"")
        probe.remove()
    except OSError as error:
        raise UnfitError(
            f"the storage {place} cannot be written ({error.strerror or error}): mend that, or "
            "choose another one by --storage"
        ) from error


@functools.lru_cache(maxsize=8)
def _opened(store: str) -> Any:
    from pyarrow import fs

    return fs.FileSystem.from_uri(store)[0]


def _file_system(uri: str) -> Any:
    """The file system of a URI; one for all its keys, because each has connections of its own.

    Raises:
        UsageError: pyarrow cannot read it.
    """
    import pyarrow as pa

    parts = urlsplit(uri)
    query = parts.query
    if parts.scheme == "s3":  # small files in one request, not as an upload of one part
        query = "&".join(q for q in (query, "allow_delayed_open=true") if q)
    store = urlunsplit(parts._replace(path="", query=query))
    try:
        return _opened(store)
    except pa.ArrowInvalid as error:
        raise UsageError(
            f"{redact(uri)} names no storage ({redact(str(error).splitlines()[0])}): give a "
            "folder, or a URI such as s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
        ) from error


def _may_pass(error: BaseException) -> bool:
    """Whether asking again can help."""
    if isinstance(error, FileNotFoundError) or not isinstance(error, OSError):
        return False
    return error.errno is None and not _FOR_GOOD.search(str(error))


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
