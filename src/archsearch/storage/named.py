"""The place that a person names, and whether it can be used."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from archsearch.errors import UnfitError, UsageError
from archsearch.redaction import holds_secret, redact
from archsearch.storage.local import LocalPath
from archsearch.storage.objects import ObjectPath
from archsearch.storage.place import StoragePath


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
