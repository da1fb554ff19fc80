"""Nodes of a Ray cluster as hosts of their own: other code, other folders, other credentials."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import site
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.clusters import free_port, outward_address

START_SECONDS = 120.0


def bare_python(folder: Path) -> Path:
    """An interpreter with all packages that are installed here but this project's own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    installed = sysconfig.get_paths()["purelib"]
    assert installed in site.getsitepackages()
    # As a plain folder: the `.pth` files in it, an editable installation's too, are not read.
    (packages / "installed.pth").write_text(installed + "\n")
    python = folder / "bin" / "python"
    asked = [str(python), "-c", "import archsearch"]
    assert subprocess.run(asked, cwd="/", capture_output=True, check=False).returncode
    return python


@dataclass
class Node:
    """A node that runs.

    Attributes:
        process: `ray start --block`, parent of all its processes.
        folder: What only this node has.
    """

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def cache(self) -> Path:
        """Where its workers keep what they have fetched."""
        return self.folder / "cache"

    def family(self) -> list[psutil.Process]:
        """All its processes, workers included."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """What a power cut does to a host."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()


class RayCluster:
    """A head without processors, with token authentication, and worker nodes.

    Args:
        python: What its nodes run.
        folder: A short path; sockets lie below it.
        env: Variables of its nodes, beside the few that they take from here.
    """

    def __init__(self, python: Path, folder: Path, env: Mapping[str, str]) -> None:
        self._python = python
        self._folder = folder
        self.token = secrets.token_hex(32)
        self.host, self.port = outward_address(), free_port()
        self.client_port, self.dashboard_port = free_port(), free_port()
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "CI") if k in os.environ}
        self._env = kept | self.credentials | {"RAY_USAGE_STATS_ENABLED": "0"} | dict(env)
        self.nodes: dict[str, Node] = {}

    @property
    def credentials(self) -> dict[str, str]:
        """What whoever joins needs in the environment."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    @property
    def address(self) -> str:
        """Of its head."""
        return f"{self.host}:{self.port}"

    def start(self, name: str, *options: str) -> Node:
        """Start a node; the first is the head. It is ready when `wait` returns."""
        folder = self._folder / name
        folder.mkdir()
        if not self.nodes:
            where = [
                "--head", f"--node-ip-address={self.host}", f"--port={self.port}",
                f"--ray-client-server-port={self.client_port}", "--dashboard-host=127.0.0.1",
                f"--dashboard-port={self.dashboard_port}", "--num-cpus=0",
            ]  # fmt: skip
        else:
            where = [f"--address={self.address}"]
        command = [
            str(self._python), "-m", "ray.scripts.scripts", "start", "--block", *where,
            "--min-worker-port=0", "--max-worker-port=0", "--object-store-memory=100000000",
            # Ray's own choice is one port for all, and other clusters may run beside this one.
            f"--dashboard-agent-listen-port={free_port()}",
            f"--temp-dir={folder / 't'}", *options,
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd="/",
                env=self._env
                | {"ARCHSEARCH_CACHE": str(folder / "cache"), "TORCH_HOME": str(folder / "torch")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.nodes[name] = Node(process, folder)
        return self.nodes[name]

    def wait(self, *names: str) -> None:
        """Until these nodes are part of the cluster."""
        deadline = time.monotonic() + START_SECONDS
        for name in names:
            log = self.nodes[name].folder / "log"
            while "Ray runtime started" not in (told := log.read_text(errors="replace")):
                assert self.nodes[name].process.poll() is None, told
                assert time.monotonic() < deadline, told
                time.sleep(0.1)

    def end(self) -> None:
        """Kill all nodes."""
        for node in self.nodes.values():
            node.kill()


def autoscaling(gcs_address: str, num_nodes: int) -> dict[str, Any]:
    """What Ray's autoscaler is told: at most so many nodes of one processor, none at first.

    Its provider for tests starts them on this machine.
    """
    commands = [
        "initialization", "setup", "head_setup", "worker_setup", "head_start_ray",
        "worker_start_ray",
    ]  # fmt: skip
    node = {"resources": {"CPU": 1, "object_store_memory": 10**8}, "node_config": {}}
    return {
        "cluster_name": "fake",
        "max_workers": num_nodes,
        "idle_timeout_minutes": 5,
        "upscaling_speed": 100.0,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": gcs_address,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "use_node_id_as_ip": True,
        },
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {}, "node_config": {}, "max_workers": 0},
            "cpu": node | {"min_workers": 0, "max_workers": num_nodes},
        },
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "cluster_synced_files": [],
        "rsync_exclude": [],
        "rsync_filter": [],
    } | {f"{name}_commands": [] for name in commands}


@contextlib.contextmanager
def growing_cluster(python: Path, folder: Path, num_nodes: int) -> Iterator[RayCluster]:
    """A cluster of a head without processors, which Ray's autoscaler adds nodes to."""
    env = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    cluster = RayCluster(python, folder, env)
    config = folder / "autoscaling.json"
    config.write_text(json.dumps(autoscaling(cluster.address, num_nodes)))
    try:
        cluster.start("head", f"--autoscaling-config={config}")
        cluster.wait("head")
        yield cluster
    finally:
        cluster.end()


@contextlib.contextmanager
def ray_cluster(python: Path, folder: Path, env: Mapping[str, str]) -> Iterator[RayCluster]:
    """A cluster of a head and the worker nodes `first` and `second`, one processor each."""
    cluster = RayCluster(python, folder, env)
    try:
        cluster.start("head")
        cluster.wait("head")
        for name in ("first", "second"):
            cluster.start(name, "--num-cpus=1")
        cluster.wait("first", "second")
        yield cluster
    finally:
        cluster.end()
