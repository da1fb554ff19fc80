"""What MLflow's pages need before other machines may reach them: a password, names, origins.

Whoever reaches an open MLflow server can change and delete every run and every registered
model, `champion` included; a web page that somebody visits can try the same from their browser.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from archsearch.addresses import is_loopback
from archsearch.command_line import command_line
from archsearch.errors import UsageError
from archsearch.files import write_atomic

LOOPBACK = "127.0.0.1"
SHORTEST_PASSWORD = 12
"""MLflow's own limit."""

PASSWORD_VARIABLE = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 -- the name of one

_AUTH_SETTINGS = """\
[mlflow]
default_permission = READ
database_uri = {users}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
# Without it each request costs a password's hashing, a quarter of a second.
auth_cache_ttl_seconds = 60
"""


@dataclass(frozen=True)
class Exposure:
    """Where pages listen, and by which names they may be called.

    Attributes:
        host: An address of this machine; 0.0.0.0 for all of them.
        names: The hosts of URLs that the server answers to; none are needed on loopback.
    """

    host: str = LOOPBACK
    names: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return is_loopback(self.host)

    @property
    def reached_at(self) -> str:
        """The address by which this machine reaches it."""
        return LOOPBACK if ipaddress.IPv4Address(self.host).is_unspecified else self.host

    @property
    def options(self) -> list[str]:
        """More options of `mlflow server`."""
        return [] if self.is_loopback else ["--app-name=basic-auth"]

    def environment(self, folder: Path, port: int) -> dict[str, str]:
        """More environment variables of `mlflow server`; makes the file that one of them names.

        Args:
            folder: Where the server's users are kept.
            port: Where it listens.
        """
        if self.is_loopback:
            return {}
        settings = folder / "auth.ini"
        users = sa.URL.create("sqlite", database=str(_users(folder))).render_as_string()
        # A percent sign is doubled in files of this form.
        write_atomic(settings, _AUTH_SETTINGS.format(users=users.replace("%", "%%")))
        hosts = [*self.names, LOOPBACK, "localhost"]
        origins = [f"{scheme}://{name}" for name in self.names for scheme in ("http", "https")]
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            # Signs the forms of this server's own pages: nothing that outlives it needs the key.
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*hosts, *(f"{h}:{port}" for h in hosts)]),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(
                [*origins, *(f"http://{name}:{port}" for name in self.names)]
            ),
        }


def checked_exposure(host: str, allowed_hosts: str | None, folder: Path) -> Exposure:
    """Where the pages may listen.

    Args:
        host: As `--host`.
        allowed_hosts: As `--allowed-hosts`, names with commas between them.
        folder: Where the server's users are kept.

    Raises:
        UsageError: Other machines could reach pages that lack protection; everything that is
            missing is told at once.
    """
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise UsageError(
            f"--host {host!r} is no IPv4 address: give one of this machine, such as 127.0.0.1 "
            "(this machine alone) or 0.0.0.0 (all of its networks)"
        ) from None
    names = tuple(name.strip() for name in (allowed_hosts or "").split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise UsageError(
                f"--allowed-hosts {name!r} is no host name: give those that people type, with "
                "commas between them and without http:// and port, such as pages.example"
            )
    exposure = Exposure(host, names)
    missing = [] if exposure.is_loopback else _missing(names, folder)
    if missing:
        again = command_line("ui", "--host", host, "--allowed-hosts", ",".join(names) or "NAME")
        raise UsageError(
            f"--host {host} lets other machines reach the pages, and whoever reaches them can "
            f"change every run and model. That needs {'; and '.join(missing)}. For one person a "
            "tunnel does without: ssh -L 5000:127.0.0.1:5000 THIS_MACHINE. Else:\n"
            f"  read -rs {PASSWORD_VARIABLE} && export {PASSWORD_VARIABLE}\n  {again}"
        )
    return exposure


def _missing(names: tuple[str, ...], folder: Path) -> list[str]:
    missing = []
    if not names:
        missing.append("--allowed-hosts, the names by which people call it")
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if len(password) < SHORTEST_PASSWORD and not (_users(folder).exists() and not password):
        missing.append(
            f"a password of {SHORTEST_PASSWORD} characters or more in {PASSWORD_VARIABLE} for the "
            "user `admin`"
        )
    if importlib.util.find_spec("flask_wtf") is None:
        missing.append("MLflow's sign-in: pip install 'mlflow[auth]'")
    return missing


def _users(folder: Path) -> Path:
    """The database of the server's users."""
    return folder.absolute() / "users.db"
