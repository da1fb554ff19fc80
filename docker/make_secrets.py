"""Makes the secrets of the compose stack: files of mode 0600 that are never overwritten.

`make secrets` runs it with any Python 3.11: nothing needs to be installed.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import secrets
import stat
import sys
from pathlib import Path

USER_OF_ROOT = 10001
"""Who owns the secrets that root makes, and runs the containers: the image's user."""

PASSWORDS = (
    "postgres_password",
    "archsearch_db_password",
    "mlflow_db_password",
    "mlflow_admin_password",
    "mlflow_tracking_password",
    "mlflow_flask_secret_key",
    "ray_token",
)

S3_USERS = {
    # Makes the buckets.
    "admin": ["Admin"],
    # Checkpoints and exports: driver and workers.
    "archsearch": ["Read:archsearch", "Write:archsearch", "List:archsearch"],
    # The files of runs: MLflow's server alone.
    "mlflow": ["Read:mlflow", "Write:mlflow", "List:mlflow"],
}


class SecretsError(Exception):
    """The folder holds what does not fit together."""


def make_secrets(folder: Path, user: int, group: int) -> list[Path]:
    """Make what is missing in a folder.

    Args:
        folder: Where the secrets are kept.
        user: Who owns them, and runs the containers that read them.
        group: That user's group.

    Returns:
        The files that were made.

    Raises:
        SecretsError: S3's users and their keys do not fit together.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = [folder / name for name in PASSWORDS if not (folder / name).exists()]
    for path in made:
        _write(path, secrets.token_hex(24) + "\n")
    made += _make_s3_users(folder)
    if os.geteuid() == 0:
        for path in (folder, *made):
            os.chown(path, user, group)
    return made


def _make_s3_users(folder: Path) -> list[Path]:
    """Each user's keys in a file for AWS's libraries, all of them in one for SeaweedFS."""
    server = folder / "s3_users.json"
    keys = {name: folder / f"aws_{name}" for name in S3_USERS}
    missing = {name: path for name, path in keys.items() if not path.exists()}
    if server.exists():
        if missing:
            names = ", ".join(path.name for path in missing.values())
            raise SecretsError(
                f"{server} is there but {names} are not: restore them, or remove {server} to "
                "give S3's users new keys"
            )
        return []
    for path in missing.values():
        access, secret = secrets.token_hex(10), secrets.token_hex(20)
        _write(path, _CREDENTIALS.format(access=access, secret=secret))
    identities = [
        {"name": name, "credentials": [_read_keys(path)], "actions": S3_USERS[name]}
        for name, path in keys.items()
    ]
    _write(server, json.dumps({"identities": identities}, indent=2) + "\n")
    return [*missing.values(), server]


_CREDENTIALS = "[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"


def _read_keys(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read(path)
    default = parser["default"]
    return {
        "accessKey": default["aws_access_key_id"],
        "secretKey": default["aws_secret_access_key"],
    }


def _write(path: Path, text: str) -> None:
    """A new file that nobody else can read at any time."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def write_environment(path: Path, user: int, group: int) -> None:
    """The compose file's `.env`, unless there is one: containers run as the secrets' owner."""
    if not path.exists():
        path.write_text(f"ARCHSEARCH_UID={user}\nARCHSEARCH_GID={group}\n")


def main() -> None:
    """Make them beside the compose file, or in another folder."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=here / "secrets")
    parser.add_argument("--env-file", type=Path, default=here / ".env")
    arguments = parser.parse_args()
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        user = group = USER_OF_ROOT
    try:
        made = make_secrets(arguments.folder, user, group)
        write_environment(arguments.env_file, user, group)
    except (SecretsError, OSError) as error:
        sys.exit(f"error: {error}")
    names = ", ".join(path.name for path in made)
    print(f"{arguments.folder}: made {names}" if made else f"{arguments.folder}: all there")


if __name__ == "__main__":
    main()
