"""Places in an object store, or in another file system that pyarrow knows."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from archsearch.errors import UsageError
from archsearch.redaction import redact
from archsearch.storage.place import COPY_BYTES, StorageError, StoragePath

RETRY_SECONDS = 30.0
"""How long an object store that does not answer is asked again; it may be starting again."""

_T = TypeVar("_T")

# In the words of Arrow and of the stores' own libraries.
_FOR_GOOD = re.compile(
    r"ACCESS_DENIED|SIGNATURE_DOES_NOT_MATCH|NO_SUCH_BUCKET|INVALID_|UNRECOGNIZED_CLIENT|"
    r"EXPIRED|HTTP status 4\d\d|PERMISSION_DENIED|UNAUTHENTICATED|NOT_FOUND|No bucket"
)

_FLAT = frozenset({"s3", "gcs", "abfs"})
"""File systems, in pyarrow's words, in which a key needs no folders."""


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
                shutil.copyfileobj(content, stream, COPY_BYTES)

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
