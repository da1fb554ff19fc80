"""Whether a `pt2` file can be loaded without running somebody's code.

`torch.export.load` unpickles what the archive says is pickled, so a file that somebody sends could
run anything. Our own files hold weights as raw bytes, and example inputs as plain tensors.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import torch

from archsearch.errors import UnfitError

_PLAIN = frozenset({"archive_format", "archive_version", "byteorder", "serialization_id"})
_MAGIC_OF_ZIP = b"PK"


def refuse_pickles(name: str, contents: bytes) -> None:
    """Refuse a `pt2` archive that holds anything but JSON, raw weights and plain tensors.

    Args:
        name: Of the file, for the message.
        contents: The whole file.

    Raises:
        UnfitError: It does, or it is no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            raw = _raw_records(archive)
            for record in archive.namelist():
                if record.endswith("/") or record in raw:
                    continue
                if not _is_harmless(record, archive.read(record)):
                    raise UnfitError(
                        f"{name}: its part {record!r} is neither JSON nor plain tensors; loading "
                        "it could run code of whoever made the file, so it is not loaded"
                    )
    # zipfile: not an archive, a record cut short, an unknown compression, an encrypted record.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnfitError(f"{name}: it is no pt2 file, or damaged ({error})") from error


def _raw_records(archive: zipfile.ZipFile) -> set[str]:
    """The records that the archive's own tables say are raw bytes, and never that they are not."""
    raw: set[str] = set()
    pickled: set[str] = set()
    for record in archive.namelist():
        folder, _, file = record.rpartition("/")
        is_table = folder.endswith(("data/weights", "data/constants"))
        if not (is_table and file.endswith("_config.json")):
            continue
        for entry in _entries(archive.read(record)):
            path = str(entry.get("path_name"))
            is_raw = entry.get("use_pickle") is False and path.startswith(("weight_", "tensor_"))
            (raw if is_raw else pickled).add(f"{folder}/{path}")
    return raw - pickled


def _entries(table: bytes) -> list[dict[str, Any]]:
    try:
        entries = list(json.loads(table)["config"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def _is_harmless(record: str, content: bytes) -> bool:
    if record.rpartition("/")[2] in _PLAIN and len(content) <= 65 and content.isascii():
        return b"\n" not in content.rstrip(b"\n")
    try:
        json.loads(content)
    except ValueError:
        return content.startswith(_MAGIC_OF_ZIP) and _holds_plain_tensors(content)
    return True


def _holds_plain_tensors(content: bytes) -> bool:
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # whatever it is, it is nothing plain
        return False
    return True
