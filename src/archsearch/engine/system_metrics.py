"""Use of a worker's machine, sampled once an epoch."""

from __future__ import annotations

import platform

import psutil

from archsearch.record.messages import SystemMetrics

_MIB = 1 << 20


def sample_system_metrics(device: str) -> SystemMetrics:
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
    return SystemMetrics(
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
