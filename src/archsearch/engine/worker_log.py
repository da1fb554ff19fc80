"""A worker's log, kept among the files of its trial on a disk or in a store."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from archsearch.storage import StoragePath


class StoredLog(logging.Handler):
    """Collects log lines until `flush` appends them to a file: a request to a store takes time."""

    def __init__(self, file: StoragePath) -> None:
        super().__init__()
        self._file = file
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's line."""
        self._lines.append(self.format(record) + "\n")

    def flush(self) -> None:
        """Add to the file what was logged since the last call.

        Raises:
            OSError: A disk refuses.
            StorageError: The store does not answer, or refuses.
        """
        with self.lock or contextlib.nullcontext():
            lines, self._lines = self._lines, []
        if lines:
            self._file.append("".join(lines).encode())


@contextlib.contextmanager
def log_to(file: StoragePath) -> Iterator[StoredLog]:
    """Append this package's log records of the block to a file.

    Raises:
        OSError: A disk refuses, and the block has ended by itself.
        StorageError: The store does not answer or refuses, and the block has ended by itself.
    """
    log = StoredLog(file)
    log.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    package = logging.getLogger("archsearch")
    package.addHandler(log)
    package.setLevel(logging.INFO)
    try:
        yield log
        log.flush()
    finally:
        package.removeHandler(log)
        log.close()
