"""The process group of a trial's workers: on one machine, nothing listens beyond loopback."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import ray
import torch.distributed as dist
from ray.train.backend import Backend
from ray.train.torch import TorchConfig

_LOOPBACK = ("lo", "lo0")
"""Names of the loopback interface on Linux and macOS."""


@dataclass
class ProcessGroupConfig(TorchConfig):
    """Ray Train's own, except that workers of one machine meet in a file and talk on loopback.

    Torch's store, through which workers of several machines meet, listens on every address of the
    first machine, and gloo on the address of the host's name.
    """

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that joins the workers."""
        return _Backend


class _Backend(Backend):
    """Ray Train's own backend for torch, but for how workers of one machine meet."""

    share_cuda_visible_devices = True

    def __init__(self) -> None:
        self._torch: Any = TorchConfig().backend_cls()

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Join the workers, which are placed but idle."""
        if len(set(worker_group.execute(_node_id))) > 1:
            self._torch.on_start(worker_group, backend_config)
            return
        store = worker_group.execute_single(0, _new_store)
        size = len(worker_group)
        seconds = backend_config.timeout_s
        settings = (backend_config.backend, store, size, seconds)
        ray.get([worker_group.execute_single_async(i, _join, i, *settings) for i in range(size)])

    def on_shutdown(self, worker_group: Any, backend_config: Any) -> None:
        """Take the process group down, before the workers end."""
        self._torch.on_shutdown(worker_group, backend_config)

    def on_training_start(self, worker_group: Any, backend_config: Any) -> None:
        """As Ray Train's own."""
        self._torch.on_training_start(worker_group, backend_config)


def _node_id() -> str:
    return str(ray.get_runtime_context().get_node_id())


def _new_store() -> str:
    """The path of a new file; torch makes it, and deletes it when the group ends."""
    return str(Path(tempfile.gettempdir()) / f"archsearch-workers-{secrets.token_hex(16)}")


def _join(rank: int, backend: str, store: str, size: int, seconds: float) -> None:
    loopback = next((name for _, name in socket.if_nameindex() if name in _LOOPBACK), None)
    if loopback is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", loopback)
    dist.init_process_group(
        backend,
        init_method=f"file://{store}",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=seconds),
    )
