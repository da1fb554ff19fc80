"""What travels to a cluster with a search, and what must not."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archsearch
from archsearch.engine.ray_private import WORKER_ENVIRONMENT
from archsearch.errors import UsageError
from archsearch.redaction import holds_secret


@contextlib.contextmanager
def workers_environment() -> Iterator[dict[str, Any]]:
    """The runtime environment of a cluster's workers: this package's source, wherever it is.

    Ray stores it by the digest of its content, so each node fetches a version once. The driver's
    own environment does not travel: workers need neither record nor tracking, and no secret. The
    space is in each trial's configuration, and the driver prepares the user's own data.
    """
    with tempfile.TemporaryDirectory(prefix="archsearch-code-") as folder:
        code = Path(folder) / "archsearch"
        source = Path(archsearch.__file__).parent
        shutil.copytree(source, code, ignore=shutil.ignore_patterns("__pycache__"))
        yield {"py_modules": [str(code)], "env_vars": dict(WORKER_ENVIRONMENT)}


def check_command_line() -> None:
    """Refuse a command line that holds a secret: Ray tells it to everybody on the cluster.

    Raises:
        UsageError: It does.
    """
    if any(holds_secret(word) for word in sys.argv):
        raise UsageError(
            "this command line holds a password or a token, and Ray shows the command lines of "
            "its drivers to everybody on the cluster: give the URL in the environment "
            "(ARCHSEARCH_DATABASE, MLFLOW_TRACKING_URI), PostgreSQL's password in PGPASSWORD or "
            "~/.pgpass, MLflow's in MLFLOW_TRACKING_PASSWORD"
        )
