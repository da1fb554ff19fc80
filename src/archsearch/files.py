"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block succeeds.

    The bytes are flushed to disk before the rename, so a reader sees the old file or the new
    one, never a part of it. When the block raises, nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to `path`: whole or not at all."""
    with atomic_writer(path) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def user_cache_dir() -> Path:
    """Where this user's programs of the project keep what they can make or fetch again.

    `$XDG_CACHE_HOME`, else `~/.cache`; in the temporary folder where that cannot be written, as in
    a container whose user has no home.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(base) / "archsearch"
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK | os.X_OK):
            return cache
    except (OSError, RuntimeError):  # the latter where a user id has no name and no HOME
        pass
    return Path(tempfile.gettempdir()) / f"archsearch-{os.getuid()}"


class FileIdentity(NamedTuple):
    """Which file a path names; while somebody has it open, no other file gets the same one."""

    device: int
    inode: int


def file_identity(path: Path) -> FileIdentity | None:
    """Which file a path names now, without opening it; None if none can be seen there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileIdentity(found.st_dev, found.st_ino)
