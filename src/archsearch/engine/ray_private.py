"""Everything this project uses of Ray that Ray does not document, and may change in any release.

Each piece was checked on Ray 2.60. `tests/contracts/test_ray_private.py` checks each of them on
the Ray that is installed, and says in a sentence what a new one has changed.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

CHECKED_ON = "2.60"
"""The newest minor release of Ray on which every piece of this file was checked."""

DRIVER_DEFAULTS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # The record is the state: Tune's own snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Variables that a driver sets before it imports Ray, unless its user has set them."""

DRIVER_REQUIRED = {
    # Else Tune restarts a preempted trial by itself, as the same attempt and without a word.
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",
    # Else Tune starts workers one after the other: it asks the searcher for the next trial only
    # when the last trial's worker is there. The director bounds the number of trials.
    "TUNE_MAX_PENDING_TRIALS_PG": str(10**6),
}
"""Variables that a driver sets whatever its user has set."""

WORKER_ENVIRONMENT = {"RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Variables that the workers of a cluster need."""

RAY_TRAIN_DEFAULTS = {
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # The loss of a worker whose node is taken back is reported without a watcher of its own.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""Variables of the actor that leads the workers of one trial."""

OUT_OF_HOST_MEMORY = "running low on memory"
"""Words of Ray's memory monitor in the error of a worker that it has killed."""

CLIENT_SERVER_DID_NOT_START = "Starting Ray client server failed"
"""Words of `ray.init` when the head could not start a server for this client."""


def _module(name: str) -> Any:
    """A module of Ray, without types; imported late, because Ray reads variables at import."""
    return importlib.import_module(name)


class _NoFolders(list[str]):
    """Stays empty: Ray adds the driver's working folder by `extend`."""

    def extend(self, folders: Iterable[str]) -> None:
        """Nothing."""


def job_without_folders() -> Any:
    """The `job_config` of `ray.init` with which workers import nothing from the working folder.

    Ray puts the driver's working folder before all other places: a `random.py` or a folder
    `torch` there would be taken for the library's.
    """
    config = _module("ray.job_config").JobConfig()
    config._py_driver_sys_path = _NoFolders()
    return config


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute that exists for the block.

    Raises:
        AttributeError: It does not exist.
    """
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def ray_leaves_sigterm_alone() -> Iterator[None]:
    """Keep the driver's handler of SIGTERM while Ray starts.

    `ray.init` installs one that ends the process with exit code 15 and without a word.
    """
    utils = _module("ray._private.utils")
    with _replaced(utils, "set_sigterm_handler", lambda handler: None):
        yield


@contextlib.contextmanager
def tune_leaves_signals_alone() -> Iterator[None]:
    """Keep the driver's handlers of SIGINT and SIGUSR1 while Tune runs.

    Tune installs handlers that end `fit` early and without an error.
    """
    tune = _module("ray.tune.tune")
    with _replaced(tune, "_setup_signal_catching", threading.Event):
        yield


@contextlib.contextmanager
def ray_on_loopback() -> Iterator[None]:
    """Let a Ray that starts in this block listen on 127.0.0.1 only.

    Ray replaces 127.0.0.1 by the machine's outward address and binds to all of them, unless it
    is told that no other machine will join (as it assumes on macOS and Windows).
    """
    constants = _module("ray._private.ray_constants")
    with _replaced(constants, "ENABLE_RAY_CLUSTER", False):
        yield


def local_options(folder: Path) -> dict[str, Any]:
    """Options of `ray.init` for a Ray that starts here.

    Args:
        folder: For its sockets and logs.
    """
    return {"_node_ip_address": "127.0.0.1", "_temp_dir": str(folder)}


def silence_worker_errors() -> None:
    """Stop Ray from printing a paragraph on standard output for each worker that is lost."""
    worker = _module("ray._private.worker")
    worker.print_to_stdstream = lambda *_, **__: None


def session_folder() -> str:
    """The folder of Ray's session on this machine; empty where Ray is reached by its client."""
    node = _module("ray._private.worker").global_worker.node
    return "" if node is None else str(node.get_session_dir_path())


def server_processes() -> dict[str, int]:
    """Process ids of the servers that `ray.init` has started here, by their names."""
    node = _module("ray._private.worker").global_worker.node
    if node is None:
        return {}
    return {
        name: started[0].process.pid
        for name, started in node.all_processes.items()
        if name in ("gcs_server", "raylet")
    }


def has_token() -> bool:
    """Whether Ray would find a token here, a Kubernetes service account's included."""
    loader = _module("ray._raylet").AuthenticationTokenLoader.instance()
    loader.reset_cache()
    try:
        return bool(loader.has_token(ignore_auth_mode=True))
    except _module("ray.exceptions").AuthenticationError:  # RAY_AUTH_TOKEN_PATH names no token
        return False


def enable_token_auth() -> None:
    """Send the token with every request; joining by an explicit address, Ray sends none."""
    _module("ray._private.authentication.authentication_token_setup")._enable_token_auth()


def resolved_address(address: str) -> str:
    """`HOST:PORT` of the cluster that `ray.init(address=...)` would join.

    Raises:
        ConnectionError: The address is `auto`, and there is no cluster on this machine.
        ValueError: It is no address.
    """
    services = _module("ray._private.services")
    return str(services.canonicalize_bootstrap_address_or_die(address))


def living_nodes(address: str, timeout_seconds: float) -> list[str]:
    """Addresses of a cluster's living nodes, asked for without joining it.

    Args:
        address: `HOST:PORT`.
        timeout_seconds: Of the request; connecting may take longer.

    Raises:
        ray.exceptions.AuthenticationError: The cluster refuses the token, or asks for one.
        ConnectionError, ray.exceptions.RayError: It does not answer.
    """
    client = _module("ray._raylet").GcsClient(address=address)
    nodes = client.get_all_node_info(timeout=timeout_seconds).values()
    alive = _module("ray.core.generated.gcs_pb2").GcsNodeInfo.GcsNodeState.ALIVE
    return sorted({node.node_manager_address for node in nodes if node.state == alive})


def ping_client_server(target: str, timeout_seconds: float) -> None:
    """Ask Ray's client server for a sign of life, without a session; sends the token, if any.

    Args:
        target: `HOST:PORT`.
        timeout_seconds: Of the request.

    Raises:
        grpc.RpcError: It does not answer, or refuses the token.
    """
    stubs = _module("ray.core.generated.ray_client_pb2_grpc")
    messages = _module("ray.core.generated.ray_client_pb2")
    ping = messages.ClusterInfoRequest(type=messages.ClusterInfoType.PING)
    with _module("ray._private.grpc_utils").init_grpc_channel(target) as channel:
        stubs.RayletDriverStub(channel).ClusterInfo(ping, timeout=timeout_seconds)


def keep_credentials_here() -> None:
    """Stop Tune from sending the driver's AWS keys with each trial, for the cluster to read.

    It copies them into the runtime environment of its workers, which Ray shows in its dashboard
    and writes to its logs. Each node has the credentials of its own environment or role.
    """
    class_cache = _module("ray.tune.execution.class_cache")
    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }


@contextlib.contextmanager
def tune_stays_here(scratch: Path) -> Iterator[None]:
    """Run Tune's loop in this process for the block, whichever way Ray is reached.

    Tune notices a Ray client and moves itself, searcher and scheduler included, into the cluster.
    A search's driver holds the record and the lease, so Tune is kept here.

    Args:
        scratch: Where Tune may keep its files; through the client there is no Ray session here.
    """
    client = _module("ray.util.client").ray
    if not client.is_connected():
        yield
        return
    storage = _module("ray.train._internal.storage")
    vars(client)["is_connected"] = lambda: False
    try:
        with _replaced(storage, "_get_ray_train_session_dir", lambda: str(scratch)):
            yield
    finally:
        del vars(client)["is_connected"]


def actor_finder(tune_controller: Any) -> Callable[[Any], Any]:
    """A function that gives the actor handle of a trial, or None while the trial has no actor."""

    def find(trial: Any) -> Any:
        tracked = tune_controller._trial_to_actor.get(trial)
        actors = tune_controller._actor_manager._live_actors_to_ray_actors_resources
        live = actors.get(tracked)
        return None if live is None else live[0]

    return find
