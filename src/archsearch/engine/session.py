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

from archsearch.engine import ray_private
from archsearch.engine.autoscaling import CapacityRequests
from archsearch.engine.capacity import check_capacity
from archsearch.engine.client import join
from archsearch.engine.cluster import check_command_line, workers_environment
from archsearch.engine.security import make_token, protect_token
from archsearch.errors import UnfitError
from archsearch.phrases import plural
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState
from archsearch.search.slots import TrialShape

_LOCAL_OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Little: data is mapped from one file, and results are small."""


def _load_ray() -> None:
    """Set what Ray reads when it is imported, then import it, which takes seconds."""
    for key, value in ray_private.DRIVER_DEFAULTS.items():
        os.environ.setdefault(key, value)
    os.environ.update(ray_private.DRIVER_REQUIRED)
    import ray  # noqa: F401 -- for what follows


@contextlib.contextmanager
def ray_session(request: SearchRequest, shape: TrialShape) -> Iterator[str]:
    """Ray, started or joined; yields the folder of its logs on this machine.

    A Ray started here listens on loopback only and ends with the block.

    Raises:
        UnfitError: Ray cannot be started, or the cluster cannot be joined.
    """
    _load_ray()
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with contextlib.ExitStack() as starting:
            starting.enter_context(ray_private.ray_leaves_sigterm_alone())
            if request.address is not None:
                check_command_line()
                code = starting.enter_context(workers_environment())
                options |= {"address": request.address, "runtime_env": code}
            else:
                starting.enter_context(ray_private.ray_on_loopback())
                options |= {
                    "address": "local",  # whatever RAY_ADDRESS says
                    "include_dashboard": False,
                    "object_store_memory": _LOCAL_OBJECT_STORE_BYTES,
                    "job_config": ray_private.job_without_folders(),
                    **ray_private.LOCAL_OPTIONS,
                    **_local_resources(request, shape),
                }
                make_token()
                protect_token()
            _join(request.address, options)
        ray_private.silence_worker_errors()  # the director says a sentence
        yield ray_private.session_folder()
    finally:
        ray.shutdown()


def _join(address: str | None, options: dict[str, Any]) -> None:
    try:
        join(options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        what = f"join the Ray cluster at {address}" if address else "start Ray"
        raise UnfitError(f"cannot {what}: {error}") from error


def _local_resources(request: SearchRequest, shape: TrialShape) -> dict[str, Any]:
    """Room for as many trials as were asked for, even on fewer cores; else what there is."""
    if request.concurrency is None:
        return {}
    wanted = request.concurrency * shape.total_cpus
    return {"num_cpus": max(wanted, len(os.sched_getaffinity(0)))}


class SlotCounter:
    """How many trials may run at a time; grows and shrinks with the cluster."""

    _REFRESH_SECONDS = 2.0

    def __init__(self, request: SearchRequest, shape: TrialShape) -> None:
        self._request = request
        self._shape = shape
        self._counted = 1
        self._next_count = -math.inf

    def __call__(self) -> int:
        """The slots of now, at least one: an autoscaling cluster may start empty."""
        now = time.monotonic()
        if now >= self._next_count:
            self._next_count = now + self._REFRESH_SECONDS
            self._counted = self._count()
        return self.bounded(self._counted)

    def bounded(self, num_open: int) -> int:
        """So many trials as may run at a time, of those that could."""
        limit = self._request.concurrency
        return num_open if limit is None else min(num_open, limit)

    def _count(self) -> int:
        import ray

        return max(1, self._shape.slots_on(ray.nodes()))


def gpus_of_cluster(request: SearchRequest) -> float:
    """How many GPUs the cluster has now; nodes that an autoscaler may add are not known to Ray.

    Raises:
        UnfitError: The cluster cannot be joined.
    """
    import ray

    with ray_session(request, TrialShape()):
        return float(ray.cluster_resources().get("GPU", 0))


def run_on_ray(run_state: RunState, request: SearchRequest, gpus_per_trial: float) -> str:
    """Run trials on Ray until the director has nothing left, or at once on `stop_now`.

    Returns:
        The folder of Ray's logs on this machine.

    Raises:
        UnfitError: Ray cannot be started or joined, or has no room for one trial.
    """
    shape = request.shape(gpus_per_trial)
    _load_ray()
    if run_state.stop_now:  # as it is only noticed again when Ray has started
        return ""
    with ray_session(request, shape) as logs:
        _check_capacity(request, shape)
        slots = SlotCounter(request, shape)
        run_state.on_started(slots(), _devices())
        if not run_state.stop_now:
            _run_tune(run_state, slots, shape, is_cluster=request.address is not None)
    return logs


def _check_capacity(request: SearchRequest, shape: TrialShape) -> None:
    import ray

    if request.address is None:  # a cluster may still grow
        there = ray.cluster_resources()
        num_cpus, num_gpus = there.get("CPU", 0), there.get("GPU", 0)
        check_capacity(shape, num_cpus, num_gpus)


def _devices() -> str:
    """What Ray has, for a person."""
    import ray

    there = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    gpus = f", {there['GPU']:g} GPUs" if there.get("GPU") else ""
    return f"{there.get('CPU', 0):g} CPUs{gpus} on {plural(nodes, 'node')}"


def _resources(shape: TrialShape) -> Any:
    """What a trial's actor asks Tune for, for itself.

    Several workers are placed by Ray Train, in a placement group of their own; it cannot use
    Tune's. Then the actor only leads them, and asks for a byte, the least that Tune accepts.
    """
    from ray import tune

    if shape.num_workers > 1:
        return tune.PlacementGroupFactory([{"memory": 1}])
    return {"cpu": shape.num_cpus, "gpu": shape.num_gpus}


def _run_tune(
    run_state: RunState, slots: SlotCounter, shape: TrialShape, *, is_cluster: bool
) -> None:
    from ray import tune

    from archsearch.engine.actor import TrialActor
    from archsearch.engine.running_trials import RunningTrials
    from archsearch.engine.tune_adapters import (
        DirectedScheduler,
        DirectedSearcher,
        StopNow,
        StoppedNow,
    )

    ray_private.keep_credentials_here()
    # A lost worker is told by the director in a sentence, not by Tune in a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    running_trials = RunningTrials(run_state)
    capacity_requests = CapacityRequests(shape, run_state.say)

    def on_update() -> None:
        if is_cluster and capacity_requests.is_due:
            capacity_requests.update(
                slots(), slots.bounded(run_state.director.num_open), running_trials.num_waiting
            )

    scratch = Path(tempfile.mkdtemp(prefix="archsearch-tune-"))
    with contextlib.ExitStack() as ending:
        ending.callback(shutil.rmtree, scratch, ignore_errors=True)
        ending.enter_context(ray_private.tune_stays_here(scratch))
        ending.enter_context(ray_private.tune_leaves_signals_alone())
        ending.callback(capacity_requests.end)
        ending.enter_context(contextlib.suppress(StoppedNow))  # actors end with the Ray session
        tune.Tuner(
            tune.with_resources(TrialActor, _resources(shape)),
            tune_config=tune.TuneConfig(
                search_alg=DirectedSearcher(running_trials, slots),
                scheduler=DirectedScheduler(running_trials),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=0,
                stop=StopNow(running_trials, on_update),
                # Stopped trials have published their checkpoint already.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
