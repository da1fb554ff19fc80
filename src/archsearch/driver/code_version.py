"""Which code a search ran with."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path


def code_version() -> dict[str, str]:
    """The release of this package, and the git commit where it runs from a checkout."""
    version = {"archsearch_version": metadata.version("archsearch")}
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607 -- the user's own git
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version
    return version | {"git_commit": commit}
