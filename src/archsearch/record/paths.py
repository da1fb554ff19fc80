"""Every file name of a search, known here only."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.errors import UnfitError, UsageError
from archsearch.storage import LocalPath, StoragePath, storage_path

if TYPE_CHECKING:
    from archsearch.record.trial import SearchRow

STARTED_BYTES = 8
"""A line of the file in which a worker notes its epochs, so that the file's size counts them."""

NOT_SEARCHES = frozenset({"data", "mlflow", "single"})
"""Folders beside those of the searches."""


@dataclass(frozen=True)
class RunsFolder:
    """The folder of all searches of a user, by default `runs/` where a command is called."""

    root: Path

    def search(self, name: str, storage: str | None = None) -> SearchPaths:
        """The folder of one search.

        Args:
            name: The search's.
            storage: Where its trials' files are, if not in the folder; a path or a URI.

        Raises:
            UsageError: The name could leave the folder or be hidden in it, or the storage is
                none.
        """
        place = None if storage is None else storage_path(storage)
        return SearchPaths(self.root / checked_name(name), place)

    def of(self, search: SearchRow) -> SearchPaths:
        """The folder of a recorded search, and the storage that its record names."""
        return self.search(search.name, search.settings.storage)

    @property
    def mlflow(self) -> Path:
        """The default tracking store of all searches."""
        return self.root / "mlflow"

    @property
    def data_cache(self) -> Path:
        """The Arrow files, one for each data set and image size."""
        return self.root / "data"

    def make(self) -> None:
        """Make the folder if need be, before anything is put into it.

        Raises:
            UnfitError: It cannot be made or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, "no permission, or a read-only file system")
        except OSError as error:
            raise UnfitError(
                f"the runs folder {self.root} cannot be written ({error.strerror}): choose "
                "another one by --runs-dir"
            ) from error

    def names(self) -> list[str]:
        """The searches that are here, by name; none where there is no folder yet.

        Raises:
            UnfitError: The path is not a folder, or cannot be listed.
        """
        try:
            folders = list(self.root.iterdir()) if self.root.exists() else []
            found = {p.name for p in folders if _is_plain(p.name) and (p / "search.db").is_file()}
        except OSError as error:
            raise UnfitError(
                f"the runs folder {self.root} cannot be read ({error.strerror}): choose another "
                "one by --runs-dir"
            ) from error
        return sorted(found - NOT_SEARCHES)


@dataclass(frozen=True)
class SearchPaths:
    """The files of one search.

    Attributes:
        root: Its folder, on the driver's disk.
        storage: Where workers keep the files of its trials, if not in that folder; shared by
            searches, so that each has a folder of its name there.
    """

    root: Path
    storage: StoragePath | None = None

    @property
    def name(self) -> str:
        """The search's name, which is its folder's."""
        return self.root.name

    @property
    def database(self) -> Path:
        """The record, unless `--database` names a server."""
        return self.root / "search.db"

    @property
    def space(self) -> Path:
        """The space as it was searched, for people; the record's copy is the one that counts."""
        return self.root / "space.yaml"

    @property
    def report(self) -> Path:
        """The report, one page."""
        return self.root / "report.html"

    @property
    def report_summary(self) -> Path:
        """The report's summary as Markdown."""
        return self.root / "report.md"

    @property
    def trials_table(self) -> Path:
        """One row a trial, for pandas, Polars, DuckDB."""
        return self.root / "trials.parquet"

    @property
    def epochs_table(self) -> Path:
        """One row an epoch."""
        return self.root / "epochs.parquet"

    @property
    def trials(self) -> StoragePath:
        """The folder of all trials."""
        home = LocalPath(self.root) if self.storage is None else self.storage / self.name
        return home / "trials"

    def make_trials(self) -> None:
        """Make the folder of all trials: a worker makes no more than its trial's.

        Raises:
            UnfitError: It cannot be made.
        """
        try:
            self.trials.make_folder(parents=True)
        except OSError as error:
            raise UnfitError(f"{self.trials} cannot be made ({error.strerror})") from error

    def trial(self, number: int) -> TrialPaths:
        """The folder of one trial."""
        return TrialPaths(self.trials / f"{number:04d}")

    def epochs_started(self) -> dict[int, int]:
        """How many epochs workers have started, repeated ones included, by trial.

        Empty where no trial's files are here. The storage is asked once for all trials.
        """
        started: dict[int, int] = {}
        for path, size in self.trials.tree().items():
            folder, _, name = path.partition("/")
            if folder.isdecimal():
                begun = size // STARTED_BYTES if name.startswith("started-a") else 0
                started[int(folder)] = started.get(int(folder), 0) + begun
        return started


@dataclass(frozen=True)
class TrialPaths:
    """The files of one trial."""

    root: StoragePath

    @property
    def checkpoints(self) -> StoragePath:
        """The folder of the two newest checkpoints, `eNNNN-aN.ckpt`."""
        return self.root

    @property
    def log(self) -> StoragePath:
        """What the trial's workers logged, all attempts one after the other."""
        return self.root / "worker.log"

    def note_start(self, attempt: int, epoch: int) -> None:
        """Note, in the attempt's file, that its worker starts an epoch: a line of fixed length."""
        line = f"{epoch:0{STARTED_BYTES - 1}d}\n"
        (self.root / f"started-a{attempt}").append(line.encode())


def checked_name(name: str) -> str:
    """A name that is one plain path component.

    Raises:
        UsageError: It is not.
    """
    if not _is_plain(name):
        raise UsageError(
            f"{name!r} cannot name a search: a name has 1 to 100 letters, digits, `.`, `_` or "
            "`-`, and starts with a letter, a digit or `_`"
        )
    if name in NOT_SEARCHES:
        raise UsageError(
            f"{name!r} cannot name a search: in the runs folder it is not a search's folder "
            f"(nor are {', '.join(sorted(NOT_SEARCHES - {name}))})"
        )
    return name


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name) is not None
