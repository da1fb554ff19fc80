"""Who may reach Ray: loopback for what is started here, a token for clusters beyond it.

Whoever reaches Ray's ports can run code as its user, so a search neither opens them to others
nor sends its work to a cluster that is open to others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archsearch.addresses import is_loopback
from archsearch.engine.cluster_probe import ClusterAnswer, ask_cluster
from archsearch.engine.ray_private import enable_token_auth, has_token
from archsearch.errors import UnfitError

_PATH_VARIABLE = "RAY_AUTH_TOKEN_PATH"

HOW_TO_CLOSE = (
    "restart it with a token: on its first node `ray get-auth-token --generate`, then "
    "`chmod 600 ~/.ray/auth_token` and that file copied to each node's ~/.ray/auth_token and to "
    "yours, then `export RAY_AUTH_MODE=token` before `ray stop` and each `ray start`"
)


def token_path() -> Path | None:
    """The file in which Ray looks for the token.

    None if a variable holds the token itself, or if this user has no home folder.
    """
    if os.environ.get("RAY_AUTH_TOKEN"):
        return None
    named = os.environ.get(_PATH_VARIABLE)
    try:
        return Path(named) if named else Path.home() / ".ray" / "auth_token"
    except RuntimeError:  # HOME is not set, and the user's id has no name
        return None


def make_token() -> None:
    """Make the token that a local Ray would make, which writes it for everybody to read."""
    path = token_path()
    if path is None or path.exists():
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):  # then Ray says what it cannot do
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
            # Whole or not at all, and never in place of another search's that starts now.
            os.link(temporary, path)
        finally:
            temporary.unlink()


@contextlib.contextmanager
def local_token() -> Iterator[None]:
    """Give a Ray that starts in this block its token: this user's, else one of its own.

    Where the home folder cannot be written (a container's user without a name, a read-only
    image), the token is a file in a private folder that ends with the block.

    Raises:
        UnfitError: The user's token is readable by others and cannot be closed.
    """
    make_token()
    protect_token()
    path = token_path()
    if os.environ.get("RAY_AUTH_TOKEN") or (path is not None and os.access(path, os.R_OK)):
        yield
        return
    named = os.environ.get(_PATH_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="archsearch-token-") as folder:
        os.environ[_PATH_VARIABLE] = str(Path(folder) / "auth_token")
        try:
            make_token()
            yield
        finally:
            del os.environ[_PATH_VARIABLE]
            if named is not None:
                os.environ[_PATH_VARIABLE] = named


def readable_by_others(path: Path) -> bool:
    """Whether somebody else on this machine may read or change a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO))


def protect_token() -> str | None:
    """Close a token file that others can read; the sentence that says so, if it was open.

    Raises:
        UnfitError: It is somebody else's file, so it stays open.
    """
    path = token_path()
    if path is None:
        return None
    try:
        if not readable_by_others(path):
            return None
    except OSError:  # it is not there, or in a folder that this user cannot enter
        return None
    try:
        path.chmod(0o600)
    except OSError as error:
        if error.errno == errno.EROFS:  # a container's mounted secret: its mode is the mount's
            return None
        raise UnfitError(
            f"others can read Ray's token in {path}, and it cannot be closed "
            f"({error.strerror}): have its owner run `chmod 600 {path}`, or put a copy of your "
            "own elsewhere and name it by RAY_AUTH_TOKEN_PATH"
        ) from error
    return f"Others could read Ray's token: {path} is yours alone now (mode 600)."


def admit_cluster(address: str | None) -> list[str]:
    """Refuse a Ray cluster that is open to everybody; send the token to one that asks for it.

    Args:
        address: As `--address`; None for a Ray that is started here.

    Returns:
        Sentences for the user.

    Raises:
        UnfitError: The cluster does not answer; or it listens beyond loopback and asks for no
            token, or for another one than this machine has.
    """
    if address is None:
        return []
    anonymous = ask_cluster(address, with_token=False)
    if anonymous.answer == "open":
        _check_nobody_else_can(address, anonymous)
        return []
    if anonymous.answer == "silent":  # joining it might wait for minutes, deaf to signals
        named = os.environ.get("RAY_ADDRESS") if address == "auto" else None
        at = f"{named}, which the variable RAY_ADDRESS names" if named else address
        raise UnfitError(
            f"the Ray cluster at {at} does not answer: {anonymous.error}; look at it there "
            "(`ray status`), and run the same command again"
        )
    return _send_token(address)


def _check_nobody_else_can(address: str, answer: ClusterAnswer) -> None:
    beyond = [host for host in answer.addresses if not is_loopback(host)]
    if not beyond:
        return
    shown = ", ".join(beyond[:3]) + (", …" if len(beyond) > 3 else "")
    raise UnfitError(
        f"the Ray cluster at {address} listens beyond loopback ({shown}) and asks for no token: "
        f"whoever reaches it can run code there and read what you send. Not joined; {HOW_TO_CLOSE}"
    )


def _send_token(address: str) -> list[str]:
    """Make Ray send its token from now on; the cluster at the address has asked for one."""
    if not has_token():
        raise UnfitError(
            f"the Ray cluster at {address} asks for a token, and there is none here: copy the "
            "cluster's ~/.ray/auth_token to yours (`chmod 600 ~/.ray/auth_token`), or name the "
            "file by RAY_AUTH_TOKEN_PATH"
        )
    fixed = protect_token()
    if ask_cluster(address, with_token=True).answer == "unauthenticated":
        where = token_path() or "the variable RAY_AUTH_TOKEN"
        raise UnfitError(
            f"the Ray cluster at {address} does not take the token in {where}: it is another "
            "cluster's, or an old one; copy the one of the cluster's head"
        )
    enable_token_auth()
    return [fixed] if fixed else []
