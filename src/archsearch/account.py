"""The account that a process runs as, where the system knows neither its name nor its home.

Containers run programs under user ids that have no entry of an account, such as
`docker run --user 12345`. Ray, MLflow and torch all ask for a home or a name, and fail.
"""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from pathlib import Path


def supply_account() -> None:
    """Give this process, and those that it starts, a home and a name where it has none.

    The home is a folder of this user's alone among the temporary ones; the name tells the user id.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(_own_temporary_folder())
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


def _own_temporary_folder() -> Path:
    """The same one for every process of this user, unless another user has taken its name."""
    folder = Path(tempfile.gettempdir()) / f"archsearch-home-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix="archsearch-home-"))
