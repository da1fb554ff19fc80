"""Ray: started on this machine or joined, Tune run once, everything ended again."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archsearch.errors import UnfitError
from archsearch.phrases import plural
from archsearch.search.conduct import Conduct
from archsearch.search.request import SearchRequest
from archsearch.search.room import check_room
from archsearch.search.security import make_token, protect_token, ray_on_loopback

_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
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

_LOCAL_OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Little: data is mapped from one file, and results are small."""


@contextlib.contextmanager
def ray_session(request: SearchRequest, gpus_per_trial: float) -> Iterator[str]:
    """Ray, started or joined; yields the folder of its logs on this machine.

    A Ray started here listens on loopback only and ends with the block.

    Raises:
        UnfitError: Ray cannot be started, or the cluster cannot be joined.
    """
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if request.address is not None:
        options |= {"address": request.address}
    else:
        options |= {
            "address": "local",  # whatever RAY_ADDRESS says
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",  # see `ray_on_loopback`
            "object_store_memory": _LOCAL_OBJECT_STORE_BYTES,
        } | _local_resources(request, gpus_per_trial)
        make_token()
        protect_token()
    try:
        with ray_on_loopback() if request.address is None else contextlib.nullcontext():
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        what = f"join the Ray cluster at {request.address}" if request.address else "start Ray"
        raise UnfitError(f"cannot {what}: {error}") from error
    try:
        # A paragraph for each lost worker, on standard output: the director says a sentence.
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
        node: Any = ray._private.worker.global_worker.node
        yield "" if node is None else str(node.get_session_dir_path())
    finally:
        ray.shutdown()


def _local_resources(request: SearchRequest, gpus_per_trial: float) -> dict[str, Any]:
    """Room for as many trials as were asked for, even on fewer cores; else what there is."""
    if request.concurrency is None:
        return {}
    wanted = request.concurrency * request.cpus_per_trial
    return {"num_cpus": max(wanted, len(os.sched_getaffinity(0)))}


class SlotCounter:
    """How many trials may run at a time; grows and shrinks with the cluster."""

    _REFRESH_SECONDS = 2.0

    def __init__(self, request: SearchRequest, gpus_per_trial: float) -> None:
        self._request = request
        self._gpus_per_trial = gpus_per_trial
        self._counted = 1
        self._next_count = -math.inf

    def __call__(self) -> int:
        """The slots of now, at least one: an autoscaling cluster may start empty."""
        if self._request.concurrency is not None:
            return self._request.concurrency
        now = time.monotonic()
        if now >= self._next_count:
            self._next_count = now + self._REFRESH_SECONDS
            self._counted = self._count()
        return self._counted

    def _count(self) -> int:
        import ray

        there = ray.cluster_resources()
        slots = there.get("CPU", 0) // self._request.cpus_per_trial
        if self._gpus_per_trial:
            slots = min(slots, there.get("GPU", 0) // self._gpus_per_trial)
        return max(1, int(slots))


def run_on_ray(conduct: Conduct, request: SearchRequest, gpus_per_trial: float) -> str:
    """Run trials on Ray until the director has nothing left, or at once on `stop_now`.

    Returns:
        The folder of Ray's logs on this machine.

    Raises:
        UnfitError: Ray cannot be started or joined, or has no room for one trial.
    """
    with ray_session(request, gpus_per_trial) as logs:
        _check_room(request, gpus_per_trial)
        slots = SlotCounter(request, gpus_per_trial)
        conduct.on_started(slots(), _devices())
        if not conduct.stop_now:
            _run_tune(conduct, slots, request, gpus_per_trial)
    return logs


def _check_room(request: SearchRequest, gpus_per_trial: float) -> None:
    import ray

    if request.address is None:  # a cluster may still grow
        there = ray.cluster_resources()
        num_cpus, num_gpus = there.get("CPU", 0), there.get("GPU", 0)
        check_room(request.cpus_per_trial, gpus_per_trial, num_cpus, num_gpus)


def _devices() -> str:
    """What Ray has, for a person."""
    import ray

    there = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    gpus = f", {there['GPU']:g} GPUs" if there.get("GPU") else ""
    return f"{there.get('CPU', 0):g} CPUs{gpus} on {plural(nodes, 'node')}"


def _run_tune(
    conduct: Conduct, slots: SlotCounter, request: SearchRequest, gpus_per_trial: float
) -> None:
    from ray import tune

    from archsearch.search.ray_adapters import (
        DirectedScheduler,
        DirectedSearcher,
        Fleet,
        StopNow,
        StoppedNow,
    )
    from archsearch.search.trial import TrialActor

    # A lost worker is told by the director in a sentence, not by Tune in a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    fleet = Fleet(conduct)
    scratch = Path(tempfile.mkdtemp(prefix="archsearch-tune-"))
    resources = {"cpu": request.cpus_per_trial, "gpu": gpus_per_trial}
    try:
        tune.Tuner(
            tune.with_resources(TrialActor, resources),
            tune_config=tune.TuneConfig(
                search_alg=DirectedSearcher(fleet, slots),
                scheduler=DirectedScheduler(fleet),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=0,
                stop=StopNow(fleet),
                # Stopped trials have published their checkpoint already.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    except StoppedNow:
        pass  # its actors end with the Ray session
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
