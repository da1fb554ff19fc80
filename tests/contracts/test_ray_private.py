"""What this project uses of Ray's undocumented parts is there and means what it meant.

Each failure says what the installed Ray has changed and which function has to follow.
"""

from __future__ import annotations

import importlib
import inspect
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from archsearch.engine import ray_private

_ROOT = Path(ray.__file__).parent


def check(is_unchanged: bool, changed: str, user: str) -> None:
    """Fail with a sentence on what Ray has changed, and what of ours has to follow."""
    __tracebackhide__ = True
    if not is_unchanged:
        pytest.fail(
            f"Ray {ray.__version__} differs from {ray_private.CHECKED_ON}, on which "
            f"`ray_private.{user}` was checked: {changed}",
            pytrace=False,
        )


def found(path: str, user: str) -> Any:
    """The object of Ray at `module:name.name`."""
    name, _, attributes = path.partition(":")
    try:
        answer = importlib.import_module(name)
        for attribute in filter(None, attributes.split(".")):
            answer = getattr(answer, attribute)
    except (ImportError, AttributeError) as error:
        check(False, f"{path} is gone ({error})", user)
    return answer


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("ray._private.utils:set_sigterm_handler", "ray_leaves_sigterm_alone"),
        ("ray.tune.tune:_setup_signal_catching", "tune_leaves_signals_alone"),
        ("ray._private.ray_constants:ENABLE_RAY_CLUSTER", "ray_on_loopback"),
        ("ray._private.worker:print_to_stdstream", "silence_worker_errors"),
        ("ray._private.worker:global_worker.node", "session_folder"),
        ("ray._private.node:Node.get_session_dir_path", "session_folder"),
        ("ray._raylet:AuthenticationTokenLoader.instance", "has_token"),
        (
            "ray._private.authentication.authentication_token_setup:_enable_token_auth",
            "enable_token_auth",
        ),
        ("ray._private.services:canonicalize_bootstrap_address_or_die", "resolved_address"),
        ("ray._raylet:GcsClient", "living_nodes"),
        ("ray.core.generated.gcs_pb2:GcsNodeInfo.GcsNodeState.ALIVE", "living_nodes"),
        ("ray.core.generated.ray_client_pb2:ClusterInfoType.PING", "ping_client_server"),
        (
            "ray.core.generated.ray_client_pb2_grpc:RayletDriverStub",
            "ping_client_server",
        ),
        ("ray._private.grpc_utils:init_grpc_channel", "ping_client_server"),
        ("ray.tune.execution.class_cache:ENV_VARS_TO_PROPAGATE", "keep_credentials_here"),
        ("ray.train._internal.storage:_get_ray_train_session_dir", "tune_stays_here"),
        ("ray.util.client:ray.is_connected", "tune_stays_here"),
    ],
)
def test_what_is_used_of_ray_is_there(path: str, user: str) -> None:
    found(path, user)


@pytest.mark.parametrize(
    ("path", "words", "user"),
    [
        ("ray._private.worker:init", "utils.set_sigterm_handler(", "ray_leaves_sigterm_alone"),
        ("ray._private.worker:init", '"_node_ip_address"', "local_options"),
        ("ray._private.worker:init", '"_temp_dir"', "local_options"),
        ("ray.tune.tune:run", "_setup_signal_catching()", "tune_leaves_signals_alone"),
        (
            "ray._private.worker:connect",
            "job_config._py_driver_sys_path.extend(code_paths)",
            "job_without_folders",
        ),
        (
            "ray.job_config:JobConfig._get_proto_job_config",
            "py_driver_sys_path.extend(self._py_driver_sys_path)",
            "job_without_folders",
        ),
        (
            "ray._private.services:get_node_ip_address",
            "not ray_constants.ENABLE_RAY_CLUSTER",
            "ray_on_loopback",
        ),
        ("ray._private.worker", "print_to_stdstream(", "silence_worker_errors"),
        ("ray._private.node:Node.__init__", "self.all_processes", "server_processes"),
        (
            "ray.tune.execution.tune_controller:TuneController.__init__",
            "self._trial_to_actor",
            "actor_finder",
        ),
        (
            "ray.tune.execution.tune_controller:TuneController.__init__",
            "self._actor_manager",
            "actor_finder",
        ),
        (
            "ray.air.execution._internal.actor_manager:RayActorManager.__init__",
            "self._live_actors_to_ray_actors_resources",
            "actor_finder",
        ),
        (
            "ray.util.client.server.proxier",
            ray_private.CLIENT_SERVER_DID_NOT_START,
            "CLIENT_SERVER_DID_NOT_START",
        ),
    ],
)
def test_ray_uses_it_where_it_did(path: str, words: str, user: str) -> None:
    source = inspect.getsource(found(path, user))
    check(words in source, f"{path} does not contain `{words}` any more", user)


def test_every_variable_is_read_by_ray() -> None:
    sources = [
        file.read_text()
        for room in ("tune", "train", "air", "_private", "_common")
        for file in (_ROOT / room).rglob("*.py")
    ]
    for group in (
        "DRIVER_DEFAULTS",
        "DRIVER_REQUIRED",
        "WORKER_ENVIRONMENT",
        "RAY_TRAIN_DEFAULTS",
    ):
        for variable in getattr(ray_private, group):
            is_read = any(f'"{variable}"' in source for source in sources)
            check(is_read, f"nothing reads the variable {variable}", group)


def test_the_memory_monitor_still_says_what_is_looked_for() -> None:
    words = ray_private.OUT_OF_HOST_MEMORY.encode()
    programs = [*_ROOT.glob("_raylet*"), _ROOT / "core" / "src" / "ray" / "raylet" / "raylet"]
    told = any(words in program.read_bytes() for program in programs if program.is_file())
    check(told, f"no program of Ray contains {words.decode()!r}", "OUT_OF_HOST_MEMORY")


def test_the_servers_of_a_node_are_known_by_their_names() -> None:
    constants = found("ray._private.ray_constants", "server_processes")
    names = {constants.PROCESS_TYPE_RAYLET, constants.PROCESS_TYPE_GCS_SERVER}
    check(names == {"raylet", "gcs_server"}, f"they are called {names}", "server_processes")


def test_a_token_is_found_where_a_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    for is_there in (False, True):
        if is_there:
            (tmp_path / "token").write_text("a" * 64)
        check(ray_private.has_token() is is_there, "a token file is not found", "has_token")


def test_an_address_is_resolved_as_ray_init_resolves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in (("auto", "10.11.12.13:77"), ("10.1.2.3:6379", "10.1.2.3:6379")):
        monkeypatch.setenv("RAY_ADDRESS", expected)
        answer = ray_private.resolved_address(given)
        check(answer == expected, f"{given} is resolved to {answer}", "resolved_address")


def test_tune_asks_an_event_whether_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    tune = importlib.import_module("ray.tune.tune")
    with ray_private.tune_leaves_signals_alone():
        answer = tune._setup_signal_catching()
    check(isinstance(answer, threading.Event), "it returns no event", "tune_leaves_signals_alone")
    assert not answer.is_set()


def test_tune_does_not_send_the_drivers_credentials_with_its_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class_cache: Any = importlib.import_module("ray.tune.execution.class_cache")
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", class_cache.ENV_VARS_TO_PROPAGATE)
    sends = "AWS_SECRET_ACCESS_KEY" in class_cache.ENV_VARS_TO_PROPAGATE
    check(sends, "Tune sends no AWS keys any more, so it can go", "keep_credentials_here")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-driver")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    ray_private.keep_credentials_here()

    class Trainable:
        pass

    made = class_cache._ActorClassCache().get(Trainable)
    sent = made._default_options["runtime_env"]["env_vars"]
    assert "of-the-driver" not in str(sent)
    assert sent["RAY_CHDIR_TO_TRIAL_DIR"] == "0"


def test_tune_does_not_see_the_client_within_the_block_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = importlib.import_module("ray.util.client").ray
    storage: Any = importlib.import_module("ray.train._internal.storage")
    monkeypatch.setattr(type(client), "is_connected", lambda self: True)
    with ray_private.tune_stays_here(tmp_path):
        assert not client.is_connected()
        assert storage._get_ray_train_session_dir() == str(tmp_path)
    assert client.is_connected()
    monkeypatch.setattr(type(client), "is_connected", lambda self: False)
    with ray_private.tune_stays_here(tmp_path):
        assert "is_connected" not in vars(client)


def test_the_actor_of_a_trial_is_found() -> None:
    manager = SimpleNamespace(_live_actors_to_ray_actors_resources={"tracked": ("actor", "place")})
    controller = SimpleNamespace(_trial_to_actor={"trial": "tracked"}, _actor_manager=manager)
    find = ray_private.actor_finder(controller)
    assert (find("trial"), find("another")) == ("actor", None)
