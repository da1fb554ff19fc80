"""What a cluster is told and asked: which code its workers run, and what it has for them."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archsearch
from archsearch.errors import UsageError
from archsearch.redaction import holds_secret

_FOR_WORKERS = {"RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Variables that trials need; nothing of the driver's own environment goes with them."""


@contextlib.contextmanager
def workers_environment() -> Iterator[dict[str, Any]]:
    """What `ray.init` sends to a cluster's workers: this package's source, wherever it lies.

    Ray keeps it by the digest of its content, so each node gets it once a version. Nothing else
    goes with it: workers need neither record nor tracking, and no secret travels. The space is in
    each trial's configuration, and data of one's own is prepared by the driver.
    """
    with tempfile.TemporaryDirectory(prefix="archsearch-code-") as folder:
        code = Path(folder) / "archsearch"
        source = Path(archsearch.__file__).parent
        shutil.copytree(source, code, ignore=shutil.ignore_patterns("__pycache__"))
        yield {"py_modules": [str(code)], "env_vars": dict(_FOR_WORKERS)}


def keep_credentials_here() -> None:
    """Stop Tune from sending the driver's AWS keys with each trial, for the cluster to read.

    It copies them into the runtime environment of its workers, which Ray shows in its dashboard
    and writes to its logs. Each node has the credentials of its own environment or role.
    """
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }


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
