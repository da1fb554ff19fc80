"""Which code a search ran with."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = ("torch", "ray", "mlflow", "optuna")
"""What a search's numbers depend on, beside the interpreter."""


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a search's numbers depend on, as tags."""
    versions = {"python_version": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[f"{library}_version"] = metadata.version(library)
        except metadata.PackageNotFoundError:  # MLflow may come as mlflow-skinny
            continue
    return versions


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
