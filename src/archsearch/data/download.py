"""Downloads that are whole and are what was published, or do not happen."""

from __future__ import annotations

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from archsearch.data.folders import made_once
from archsearch.data.sources import PublishedFile
from archsearch.errors import UnfitError
from archsearch.files import atomic_writer, sha256_of

_log = logging.getLogger(__name__)

ATTEMPTS = 3
TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 2**20


class _TransferError(Exception):
    """Raised when what a server sent is not what was published; worth another attempt."""


def download(file: PublishedFile, folder: Path) -> Path:
    """Bring a published file into `folder`, unless it is there already.

    It is received under a temporary name, never beyond its published size, compared with its
    SHA-256 and only then renamed; an earlier copy that is damaged is replaced.

    Raises:
        UnfitError: If it cannot be downloaded, or `folder` cannot be written.
    """
    path = folder / file.name
    with made_once(path):
        if path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256:
            return path
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=0.5, max=10),
            retry=retry_if_exception_type(_TransferError),
            reraise=True,
        )
        try:
            retrying(_receive, file, path)
        except _TransferError as error:
            raise UnfitError(f"{file.url}: could not be downloaded ({error})") from error
    return path


def _receive(file: PublishedFile, path: Path) -> None:
    if file.url is None or file.size is None:
        raise _TransferError("no address is known for it")
    _log.info("downloading %s (%.0f MiB)", file.url, file.size / 2**20)
    digest, received = hashlib.sha256(), 0
    try:
        # The bytes are checked by their digest.
        response = urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS)  # noqa: S310 -- ours
    except urllib.error.HTTPError as error:
        error.close()
        raise _TransferError(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(str(error) or type(error).__name__) from error
    with response, atomic_writer(path) as sink:
        while received <= file.size:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _TransferError(str(error) or type(error).__name__) from error
            if not chunk:
                break
            received += len(chunk)
            digest.update(chunk)
            sink.write(chunk)
        if received != file.size:
            more = "more than " if received > file.size else ""
            raise _TransferError(f"{more}{min(received, file.size):,} of {file.size:,} bytes came")
        if digest.hexdigest() != file.sha256:
            raise _TransferError(f"its SHA-256 is {digest.hexdigest()}, not {file.sha256}")
