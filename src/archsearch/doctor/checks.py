"""Is this machine fit for searches? Each finding is fine, or says what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from archsearch.command_line import command_line
from archsearch.doctor.check_result import CheckResult
from archsearch.doctor.security import security_findings
from archsearch.engine.ray_folder import LONGEST_BYTES, named_folder_problem
from archsearch.errors import ArchsearchError, UnfitError
from archsearch.record.paths import RunsFolder
from archsearch.record.status import search_status
from archsearch.tracking.remote import cautions
from archsearch.tracking.store import TrackingStore, tracking_store

_GIB = 2**30
MEMORY_PER_WORKER = 1.5 * _GIB
"""A worker with torch holds about 1 GB, and a small network's training needs some more."""
FREE_DISK = 2 * _GIB
_NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")
"""Where Linux lists what NVIDIA's driver has, in containers too that were given none of it."""
_DEVICES = Path("/dev")
"""Where there is a file `nvidia0` for a GPU that programs here may open."""


def examine(runs_dir: Path, tracking_uri: str | None = None) -> list[CheckResult]:
    """Look at everything that a search on this machine needs."""
    runs = RunsFolder(runs_dir)
    checks: list[Callable[[], Iterator[CheckResult]]] = [
        _versions,
        _devices,
        _memory,
        lambda: _disk(runs),
        _temporary_folder,
        lambda: _searches(runs),
        lambda: security_findings(runs),  # before MLflow is opened, which sets what it reads
        lambda: _tracking(runs, tracking_uri),
    ]
    return [result for check in checks for result in check()]


def _versions() -> Iterator[CheckResult]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield CheckResult("Python", python)
    yield CheckResult("SQLite", sqlite3.sqlite_version)
    for text in metadata.requires("archsearch") or []:
        requirement = Requirement(text)
        if requirement.marker is not None:
            continue
        name, wanted = requirement.name, requirement.specifier
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield CheckResult(name, "is not installed", f"pip install '{name}{wanted}'")
            continue
        upgrade = f"pip install '{name}{wanted}' (others are unsafe or differ)"
        fits = wanted.contains(found, prereleases=True)
        yield CheckResult(name, found, None if fits else upgrade)


def _devices() -> Iterator[CheckResult]:
    import torch

    from archsearch.training.precision import native_precision

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    precision = native_precision(torch.device("cpu"))
    yield CheckResult("processor", f"{cores} cores, {precision} computed natively")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    none = "none: small variants only, by a default MAC cap"
    unused = 0 if names else _num_nvidia_gpus()
    if not unused:
        yield CheckResult("GPUs", ", ".join(names) or none)
    elif _are_hidden():
        yield CheckResult("GPUs", f"{none}; CUDA_VISIBLE_DEVICES hides {unused}")
    else:
        yield CheckResult(
            "GPUs",
            f"the driver has {unused}, torch {torch.__version__} none",
            "install a torch that is built for the driver's CUDA (https://pytorch.org), or clear "
            "CUDA_VISIBLE_DEVICES; searches would train on the processor",
        )


def _num_nvidia_gpus() -> int:
    """How many this process may open, whether or not torch can use them."""
    return len(list(_DEVICES.glob("nvidia[0-9]*"))) if any(_NVIDIA_GPUS.glob("*")) else 0


def _are_hidden() -> bool:
    """Whether somebody wants no GPU to be seen: the variable's first word names none."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return not first.isdecimal() and not first.startswith(("GPU-", "MIG-"))


def _memory() -> Iterator[CheckResult]:
    free = psutil.virtual_memory().available
    workers = int(free // MEMORY_PER_WORKER)
    advice = None
    if workers < 1:
        advice = "end other programs, or use a machine with more memory"
    yield CheckResult("free memory", f"{free / _GIB:.1f} GiB: room for {workers} workers", advice)


def _disk(runs: RunsFolder) -> Iterator[CheckResult]:
    folder = runs.root.absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        elsewhere = "choose another folder by --runs-dir"
        yield CheckResult(
            "runs folder", f"{folder} cannot be written: {error.strerror}", elsewhere
        )
        return
    free = shutil.disk_usage(folder).free
    advice = None if free >= FREE_DISK else "free some space, or choose another --runs-dir"
    yield CheckResult("runs folder", f"{runs.root}: {free / _GIB:.1f} GiB free", advice)


def _temporary_folder() -> Iterator[CheckResult]:
    about, problem = "temporary folder", named_folder_problem()
    if problem is None:
        yield CheckResult(about, tempfile.gettempdir())
        return
    advice = f"name one by RAY_TMPDIR, of at most {LONGEST_BYTES - 4} bytes; a search takes /tmp"
    yield CheckResult(about, problem, advice)


def _searches(runs: RunsFolder) -> Iterator[CheckResult]:
    try:
        names = runs.names()
    except UnfitError as error:
        yield CheckResult("searches", "cannot be listed", str(error))
        return
    for name in names:
        try:
            status = search_status(runs, name)
        except ArchsearchError as error:
            yield CheckResult(f"search {name}", "cannot be read", str(error))
            continue
        advice = None
        if status.undelivered and status.state != "running":
            advice = command_line("track", name, "--runs-dir", runs.root)
        told = f"{status.state}, {status.undelivered} messages not delivered to tracking"
        yield CheckResult(f"search {name}", told, advice)


def _tracking(runs: RunsFolder, uri: str | None) -> Iterator[CheckResult]:
    try:
        store: TrackingStore = tracking_store(runs, uri)
    except ArchsearchError as error:
        yield CheckResult("tracking", "cannot be used", str(error))
        return
    if store.sqlite is not None and not store.sqlite.exists():
        yield CheckResult("tracking", f"{store.label}: made by the first search")
        return
    for told in cautions(store):
        yield CheckResult("tracking", told, "see docs/threat-model.md")
    from archsearch.tracking.client import (
        FIRST_WITH_MODELS,
        open_client,
        sentence,
        server_version,
    )
    from archsearch.tracking.mlflow_import import BACKGROUND_TIMEOUT_SECONDS

    try:
        client = open_client(store, BACKGROUND_TIMEOUT_SECONDS)
        found = len(client.search_experiments(max_results=1000))
        version = server_version(store)
    except Exception as error:
        advice = "start it or correct --tracking-uri; searches run without it, and deliver later"
        yield CheckResult("tracking", f"{store.label}: {sentence(error)}", advice)
        return
    if version is not None and version < FIRST_WITH_MODELS:
        told = f"{store.label}: answers, with MLflow {version}, which takes runs but no models"
        yield CheckResult("tracking", told, f"promotion needs {FIRST_WITH_MODELS} or newer there")
        return
    yield CheckResult("tracking", f"{store.label}: answers, {found} experiments")
