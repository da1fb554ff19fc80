"""What a worker asks of its machine, sampled once an epoch."""

from __future__ import annotations

import platform

import psutil

from archsearch.schema import Frozen

_MIB = 1 << 20


class WorkerLoad(Frozen):
    """One sample, with what has happened since the last one of the same worker process.

    It explains speeds and tells of leaks; no result depends on it.
    """

    worker: str
    """Its host name and process id."""
    cpu_percent: float | None
    """Busy share of all processors of the machine since the last sample."""
    memory_percent: float | None
    """Of the machine's memory, what is in use by anybody."""
    worker_memory_mib: float | None
    """Resident memory of the worker's process."""
    gpu_name: str | None = None
    """The product name of the worker's GPU; None where it trains on a processor."""
    gpu_percent: float | None = None
    """Busy share of the worker's GPU; None where its driver does not tell."""
    gpu_memory_mib: float | None = None
    """What the worker's process has reserved on its GPU; PyTorch keeps what it has reserved."""


def sample_load(device: str) -> WorkerLoad:
    """Sample this process and its machine; what cannot be read is None, and nothing is raised.

    Args:
        device: Where the trial runs: `cpu` or `cuda`.
    """
    process = psutil.Process()
    cpu: float | None
    memory: float | None
    resident: float | None
    try:
        cpu, memory = psutil.cpu_percent(), psutil.virtual_memory().percent
        resident = process.memory_info().rss / _MIB
    except (OSError, psutil.Error):
        cpu = memory = resident = None
    name, busy, reserved = _gpu() if device == "cuda" else (None, None, None)
    return WorkerLoad(
        worker=f"{platform.node()}/{process.pid}",
        cpu_percent=cpu,
        memory_percent=memory,
        worker_memory_mib=resident,
        gpu_name=name,
        gpu_percent=busy,
        gpu_memory_mib=reserved,
    )


def _gpu() -> tuple[str, float | None, float]:
    """Name, busy share in percent, reserved memory in MiB."""
    import torch

    name = torch.cuda.get_device_name()
    reserved = torch.cuda.memory_reserved() / _MIB
    try:
        return name, float(torch.cuda.utilization()), reserved
    except Exception:  # the driver's library is too old, or says no
        return name, None, reserved
