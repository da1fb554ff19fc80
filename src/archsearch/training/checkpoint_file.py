"""One self-verifying file a checkpoint, and the rules of a folder of them; imports no torch.

Layout: 8 bytes of magic and format version; the header's length (4 bytes, big-endian); SHA-256 of
magic, length and header (32 bytes); the header as JSON; the payload, whose size and SHA-256 the
header holds. So one flipped, missing or added byte anywhere is seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archsearch.errors import UnfitError
from archsearch.storage import StoragePath
from archsearch.training.result import EpochResult

MAGIC = b"ARCHCKP1"
_LENGTH_BYTES = 4
_DIGEST_BYTES = 32
_FIXED_BYTES = len(MAGIC) + _LENGTH_BYTES + _DIGEST_BYTES
_MAX_HEADER_BYTES = 256 * 2**20  # a hundred thousand epochs of history take about 40 MiB
_NAME = re.compile(r"e(?P<epoch>\d{4,})-a(?P<attempt>\d+)\.ckpt")
_TEMPORARY_NAME = re.compile(r"\.e\d{4,}-a(?P<attempt>\d+)\.ckpt\.[0-9a-f]+\.tmp")


class CheckpointError(UnfitError):
    """A checkpoint is missing, damaged, or not of the trial that wants it."""


class CheckpointHeader(BaseModel):
    """What a checkpoint says about itself; readable without its payload."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    epoch: int = Field(ge=1)
    """The finished epoch that it holds, 1-based."""

    attempt: int = Field(ge=0)
    """The attempt that wrote it."""

    config_digest: str
    """Digest of the trial's configuration, as the caller chose it."""

    history: tuple[EpochResult, ...] = ()
    """Results of every epoch so far, whichever attempt trained them; ends with `epoch`."""

    payload_bytes: int = Field(default=0, ge=0)
    """Set by `write_checkpoint`."""

    payload_sha256: str = ""
    """Hexadecimal; set by `write_checkpoint`."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every byte was verified when it was found."""

    path: StoragePath
    header: CheckpointHeader

    def payload(self) -> bytes:
        """The payload, verified again.

        Raises:
            CheckpointError: It has been damaged or removed since.
            StorageError: The store that it lies in does not answer.
        """
        return read_payload(self.path)


@dataclass(frozen=True)
class Recovery:
    """What a folder had to offer.

    Attributes:
        checkpoint: The newest that can be used, or None.
        skipped: One sentence for each newer file that could not be used, newest first.
    """

    checkpoint: Checkpoint | None
    skipped: tuple[str, ...]


def checkpoint_name(epoch: int, attempt: int) -> str:
    """File name such as `e0012-a3.ckpt`: epoch 12, attempt 3."""
    return f"e{epoch:04d}-a{attempt}.ckpt"


def parse_checkpoint_name(name: str) -> tuple[int, int] | None:
    """(epoch, attempt) of a checkpoint's file name, or None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match["epoch"]), int(match["attempt"])) if match else None


def write_checkpoint(
    path: StoragePath, header: CheckpointHeader, payload: bytes
) -> CheckpointHeader:
    """Publish a checkpoint: whole or not at all.

    Returns:
        The header as written, with the payload's size and SHA-256.

    Raises:
        OSError: The folder cannot be written; nothing is left behind.
        StorageError: The store does not answer, or refuses.
        ValueError: The last entry of `history` is not of `epoch`.
    """
    if header.history and header.history[-1].epoch != header.epoch:
        raise ValueError(
            "`history` must end with `epoch`, but got "
            f"(epoch={header.epoch}, last of history={header.history[-1].epoch})"
        )
    complete = header.model_copy(
        update={
            "payload_bytes": len(payload),
            "payload_sha256": hashlib.sha256(payload).hexdigest(),
        }
    )
    text = complete.model_dump_json().encode()
    start = MAGIC + len(text).to_bytes(_LENGTH_BYTES)
    path.write(start + hashlib.sha256(start + text).digest() + text, payload)
    return complete


def read_header(path: StoragePath) -> CheckpointHeader:
    """Read and verify the header; of the payload only that its size is right.

    Raises:
        CheckpointError: The file is missing or damaged.
        StorageError: The store that it lies in does not answer.
    """
    with _open(path) as handle:
        return _header_from(path, handle)


def read_payload(path: StoragePath) -> bytes:
    """Read and verify the payload (and the header before it).

    Raises:
        CheckpointError: The file is missing or damaged.
        StorageError: The store that it lies in does not answer.
    """
    with _open(path) as handle:
        header = _header_from(path, handle)
        payload = handle.read()
    _check_payload(path, header, hashlib.sha256(payload).hexdigest())
    return payload


def verify_checkpoint(path: StoragePath) -> CheckpointHeader:
    """Verify every byte; of a file on a disk without holding the payload in memory.

    Raises:
        CheckpointError: The file is missing or damaged.
        StorageError: The store that it lies in does not answer.
    """
    with _open(path) as handle:
        header = _header_from(path, handle)
        digest = hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]
    _check_payload(path, header, digest)
    return header


def newest_valid(
    folder: StoragePath, issued_attempts: Collection[int], config_digest: str
) -> Recovery:
    """The newest usable checkpoint: highest epoch first, then highest attempt.

    Used are only files of attempts that the record issued, whole to the last byte, whose header
    agrees with the file's name and the configuration. A file that is passed over is left where
    it is; a missing folder offers nothing.

    Raises:
        StorageError: The store does not answer: what it holds is not known, so nothing is
            trained again that may be there.
    """
    skipped: list[str] = []
    for (epoch, attempt), name in sorted(_checkpoints(folder.files()).items(), reverse=True):
        path = folder / name
        if attempt not in issued_attempts:
            skipped.append(f"{path}: attempt {attempt} was never issued")
            continue
        try:
            header = verify_checkpoint(path)
        except CheckpointError as error:
            skipped.append(str(error))
            continue
        if (header.epoch, header.attempt) != (epoch, attempt):
            skipped.append(
                f"{path}: its header says epoch {header.epoch} of attempt {header.attempt}"
            )
        elif header.config_digest != config_digest:
            skipped.append(f"{path}: it is of another configuration")
        else:
            return Recovery(Checkpoint(path, header), tuple(skipped))
    return Recovery(None, tuple(skipped))


def prune(folder: StoragePath, attempt: int, keep: int = 2) -> list[str]:
    """Delete what `attempt` and the attempts before it no longer need; names what is gone.

    Kept are the `keep` newest files by (attempt, epoch). Files of later attempts are never
    touched, so a worker that outlived its driver cannot delete its successor's; nor does a
    high epoch of such a worker push out the files of the attempt that counts. Temporary files
    that killed writers left behind go too.

    Raises:
        ValueError: `keep >= 1` does not hold.
    """
    if keep < 1:
        raise ValueError(f"`keep >= 1` must hold, but got keep={keep}")
    names = list(folder.files())
    own = {key: name for key, name in _checkpoints(names).items() if key[1] <= attempt}
    newest_first = sorted(own, key=lambda key: (key[1], key[0]), reverse=True)
    gone = [own[key] for key in newest_first[keep:]]
    for name in names:
        match = _TEMPORARY_NAME.fullmatch(name)
        if match and int(match["attempt"]) <= attempt:
            gone.append(name)
    for name in gone:
        (folder / name).remove()
    return gone


def _checkpoints(names: Iterable[str]) -> dict[tuple[int, int], str]:
    """(epoch, attempt) to name of every file that is named like a checkpoint."""
    named = ((parse_checkpoint_name(name), name) for name in names)
    return {key: name for key, name in named if key is not None}


@contextlib.contextmanager
def _open(path: StoragePath) -> Iterator[BinaryIO]:
    try:
        opened = path.open()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be opened: {error.strerror}") from error
    with opened as handle:
        yield handle


def _header_from(path: StoragePath, handle: BinaryIO) -> CheckpointHeader:
    """Read and verify the header; leaves the handle at the payload's first byte."""
    fixed = handle.read(_FIXED_BYTES)
    if len(fixed) < _FIXED_BYTES or not fixed.startswith(MAGIC):
        raise CheckpointError(f"{path}: not a checkpoint: it does not start with {MAGIC!r}")
    start, digest = fixed[:-_DIGEST_BYTES], fixed[-_DIGEST_BYTES:]
    length = int.from_bytes(start[len(MAGIC) :])
    if length > _MAX_HEADER_BYTES:
        raise CheckpointError(f"{path}: damaged: a header of {length} bytes is announced")
    text = handle.read(length)
    if hashlib.sha256(start + text).digest() != digest:
        raise CheckpointError(f"{path}: damaged: its header does not match its checksum")
    try:
        header = CheckpointHeader.model_validate_json(text)
    except ValidationError as error:
        raise CheckpointError(f"{path}: its header is of another version: {error}") from error
    begin = handle.tell()
    size = handle.seek(0, os.SEEK_END) - begin
    handle.seek(begin)
    if size != header.payload_bytes:
        raise CheckpointError(
            f"{path}: damaged: a payload of {header.payload_bytes} bytes was written, "
            f"{size} are there"
        )
    return header


def _check_payload(path: StoragePath, header: CheckpointHeader, digest: str) -> None:
    if digest != header.payload_sha256:
        raise CheckpointError(f"{path}: damaged: its payload does not match its checksum")
