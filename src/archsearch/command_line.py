"""How a person calls this project's commands from where they are."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def command_line(command: str, *words: object) -> str:
    """A line that works when pasted, such as `python -m pipeline.status first`.

    Args:
        command: The command's module in `pipeline`.
        words: Its arguments; quoted for a shell where need be.
    """
    return shlex.join([this_python(), "-m", f"pipeline.{command}", *map(str, words)])


def this_python() -> str:
    """`python` where that finds this interpreter, else its path: `make` activates nothing."""
    ours = Path(sys.executable).absolute()
    found = shutil.which("python")
    if found is not None and Path(found).absolute() == ours:
        return "python"
    here = Path.cwd()
    return str(ours.relative_to(here) if ours.is_relative_to(here) else ours)
