"""Every file name of a search, known here only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archsearch.errors import UsageError


@dataclass(frozen=True)
class RunsFolder:
    """The folder of all searches of a user, by default `runs/` where a command is called."""

    root: Path

    def search(self, name: str) -> SearchPaths:
        """The folder of one search.

        Raises:
            UsageError: The name could leave the folder or be hidden in it.
        """
        return SearchPaths(self.root / checked_name(name))

    @property
    def mlflow(self) -> Path:
        """The default tracking store of all searches."""
        return self.root / "mlflow"

    @property
    def data_cache(self) -> Path:
        """The Arrow files, one for each data set and image size."""
        return self.root / "data"

    def names(self) -> list[str]:
        """The searches that are here, by name."""
        if not self.root.is_dir():
            return []
        return sorted(p.parent.name for p in self.root.glob("*/search.db"))


@dataclass(frozen=True)
class SearchPaths:
    """The files of one search."""

    root: Path

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
    def trials(self) -> Path:
        """The folder of all trials."""
        return self.root / "trials"

    def trial(self, number: int) -> TrialPaths:
        """The folder of one trial."""
        return TrialPaths(self.trials / f"{number:04d}")


@dataclass(frozen=True)
class TrialPaths:
    """The files of one trial."""

    root: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of the two newest checkpoints, `eNNNN-aN.ckpt`."""
        return self.root

    @property
    def log(self) -> Path:
        """What the trial's workers logged, all attempts one after the other."""
        return self.root / "worker.log"

    def started(self, attempt: int) -> Path:
        """One line for each epoch that this attempt has started, written by its worker."""
        return self.root / f"started-a{attempt}"

    def epochs_started(self) -> int:
        """How many epochs were started over all attempts, repeated ones included."""
        return sum(p.read_bytes().count(b"\n") for p in self.root.glob("started-a*"))


def checked_name(name: str) -> str:
    """A name that is one plain path component.

    Raises:
        UsageError: It is not.
    """
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    if not name or not set(name) <= allowed or name[0] in ".-" or len(name) > 100:
        raise UsageError(
            f"{name!r} cannot name a search: a name has 1 to 100 letters, digits, `.`, `_` or "
            "`-`, and starts with a letter, a digit or `_`"
        )
    return name
