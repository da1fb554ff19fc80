"""Where a Ray that starts here keeps its sockets and logs: short enough, and ours to write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

LONGEST_BYTES = 40
"""Of the folder's path. A socket's path has at most 107 bytes (103 on macOS), and Ray's sockets
lie 65 bytes deeper: `session_YYYY-MM-DD_HH-MM-SS_ffffff_PID/sockets/plasma_store`."""

_USUAL = Path("/tmp")  # noqa: S108 -- Ray's own choice where no variable names another folder


def choose_ray_folder() -> tuple[Path, str | None]:
    """The folder for Ray's sessions on this machine, made if need be.

    It is `ray` in the folder that RAY_TMPDIR or TMPDIR names, as Ray itself has it; where that
    cannot be used, one in /tmp.

    Returns:
        The folder, and a sentence for the user where a variable is not obeyed.
    """
    named = _named_folder()
    problem = named_folder_problem()
    if named is not None and problem is None:
        return named / "ray", None
    usual = _USUAL / "ray"
    if _problem(usual) is not None:  # of another user, who has closed it
        usual = Path(tempfile.mkdtemp(prefix="ray-", dir=_USUAL if _USUAL.is_dir() else None))
    return usual, problem and f"{problem}: Ray keeps its sockets and logs in {usual}."


def named_folder_problem() -> str | None:
    """Why Ray cannot use the folder that a variable names; None if it can, or none names one."""
    named = _named_folder()
    if named is None:
        return None
    problem = _problem(named / "ray") if named.is_dir() else "is not there"
    return problem and f"{_variable()} ({named}) {problem}"


def _named_folder() -> Path | None:
    variable = _variable()
    return None if variable is None else Path(os.environ[variable]).absolute()


def _variable() -> str | None:
    return next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), None)


def _problem(folder: Path) -> str | None:
    """Why Ray cannot use a folder; None if it can."""
    length = len(os.fsencode(folder))
    if length > LONGEST_BYTES:
        most = LONGEST_BYTES - len("/ray")
        return f"is too long for Ray's sockets ({length - len('/ray')} bytes, at most {most})"
    try:
        folder.mkdir(exist_ok=True)
        probe = folder / f".archsearch-{os.getpid()}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None
