"""Reading files that others wrote: whatever is wrong with one becomes one kind of error."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from archsearch.data.raw import MAX_RAW_BYTES
from archsearch.errors import UnfitError


@contextlib.contextmanager
def refusing_damage(path: Path, what: str) -> Iterator[None]:
    """Turn everything that a decoder may raise about `path` into an `UnfitError`.

    Decoders of damaged files raise almost anything (SciPy's alone: ValueError, TypeError,
    IndexError, zlib.error, OverflowError, …) and warn about the rest, so here, and only around
    them, every exception and every warning about values counts as damage.

    Args:
        path: The file being read.
        what: What it should be, e.g. "an idx file of images".
    """
    try:
        with warnings.catch_warnings():
            for category in (UserWarning, RuntimeWarning):  # a deprecation is no damage
                warnings.simplefilter("error", category)
            yield
    except UnfitError:
        raise
    except FileNotFoundError as error:
        raise UnfitError(f"{path}: not found; expected {what}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise UnfitError(f"{path}: damaged or not {what} ({reason})") from error


def read_whole(path: Path) -> bytes:
    """The bytes of a file, decompressed if its name ends in `.gz`; its checksum is verified."""
    with path.open("rb") as handle:
        stream = gzip.GzipFile(fileobj=handle) if path.suffix == ".gz" else handle
        content: bytes = stream.read(MAX_RAW_BYTES + 1)
    if len(content) > MAX_RAW_BYTES:
        raise UnfitError(f"{path}: holds more than {MAX_RAW_BYTES:,} bytes; that is not this data")
    return content


def read_members(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read regular files out of a `.tar.gz` by their base names; nothing is unpacked to disk.

    The archive is read to its last byte, because only there gzip's checksum is compared.

    Raises:
        UnfitError: If a member is missing, doubled or too large.
    """
    found: dict[str, bytes] = {}
    with gzip.open(path) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name not in names or not member.isfile():
                    continue
                if name in found or member.size > MAX_RAW_BYTES:
                    raise UnfitError(f"{path}: member {name} is doubled or too large")
                content = archive.extractfile(member)
                found[name] = b"" if content is None else content.read()
        while stream.read(2**20):
            pass
    if missing := [name for name in names if name not in found]:
        raise UnfitError(f"{path}: lacks {', '.join(missing)}")
    return found


def inflate_fully(compressed: bytes) -> bytes:
    """Decompress one zlib stream, which must end where its bytes end, checksum verified."""
    decoder = zlib.decompressobj()
    content = decoder.decompress(compressed, MAX_RAW_BYTES)
    if not decoder.eof or decoder.unused_data:
        raise ValueError("a compressed part is cut short, too long or too large")
    return content
