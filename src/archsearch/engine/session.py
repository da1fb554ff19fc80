"""Runs a search's trials: starts Ray or joins a cluster, runs Tune once, ends both."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from archsearch.engine import ray_private
from archsearch.engine.autoscaling import CapacityRequests
from archsearch.engine.capacity import check_capacity
from archsearch.engine.client import join
from archsearch.engine.cluster import check_command_line, workers_environment
from archsearch.engine.ray_folder import choose_ray_folder
from archsearch.engine.security import local_token
from archsearch.errors import ArchsearchError, UnfitError
from archsearch.phrases import plural
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState, StoppedWhileWaitingError
from archsearch.search.slots import TrialShape

_LONGEST_REASON = 600
"""Characters of Ray's own words in an error."""

_LOCAL_OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Small: workers map the data from one file, and their results are short."""


def _load_ray() -> None:
    """Set the variables that Ray reads at import, then import it, which takes seconds."""
    for key, value in ray_private.DRIVER_DEFAULTS.items():
        os.environ.setdefault(key, value)
    os.environ.update(ray_private.DRIVER_REQUIRED)
    import ray  # noqa: F401 -- for what follows


@contextlib.contextmanager
def ray_session(
    request: SearchRequest, shape: TrialShape, say: Callable[[str], None] = lambda sentence: None
) -> Iterator[str]:
    """Ray, started or joined; yields the folder of its logs on this machine.

    A Ray started here listens on loopback only and ends with the block.

    Args:
        request: Names the cluster to join, or how much to start here.
        shape: Of the trials that are to run.
        say: Takes a sentence that a person should read.

    Raises:
        UnfitError: Ray cannot be started, or the cluster cannot be joined.
    """
    _load_ray()
    import ray

    try:
        with contextlib.ExitStack() as environment:
            if request.address is not None:
                _join_cluster(request.address)
            else:
                environment.enter_context(local_token())
                _start_here(request, shape, say)
            ray_private.silence_worker_errors()  # the director reports them
            yield ray_private.session_folder()
    finally:
        ray.shutdown()


def _join_cluster(address: str) -> None:
    check_command_line()
    with workers_environment() as code:
        _init(f"join the Ray cluster at {address}", address=address, runtime_env=code)


def _start_here(request: SearchRequest, shape: TrialShape, say: Callable[[str], None]) -> None:
    folder, sentence = choose_ray_folder()
    if sentence is not None:
        say(sentence)
    with ray_private.ray_on_loopback():
        _init(
            "start Ray",
            address="local",  # whatever RAY_ADDRESS says
            include_dashboard=False,
            object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
            job_config=ray_private.job_without_folders(),
            **ray_private.local_options(folder),
            **_local_resources(request, shape),
        )


def _init(what: str, **options: Any) -> None:
    """Call `ray.init`, and say in a sentence what it says in many or in an exception's name.

    Raises:
        UnfitError: It failed, in whatever way: it raises a plain `Exception` when a slow machine
            has not started it in time.
    """
    try:
        with ray_private.ray_leaves_sigterm_alone():
            join({"log_to_driver": False, "logging_level": logging.ERROR} | options)
    except ArchsearchError:  # a signal's handler has raised it
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON].rstrip(".") or type(error).__name__
        hint = "; the same command tries again" if "time" in reason else ""
        raise UnfitError(f"cannot {what}: {reason}{hint}") from error


def _local_resources(request: SearchRequest, shape: TrialShape) -> dict[str, Any]:
    """CPUs for as many trials as were asked for, even on fewer cores; else all cores."""
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
        """The number of slots now, at least one: an autoscaling cluster may start empty."""
        now = time.monotonic()
        if now >= self._next_count:
            self._next_count = now + self._REFRESH_SECONDS
            self._counted = self._count()
        return self.bounded(self._counted)

    def bounded(self, num_open: int) -> int:
        """`num_open`, but at most the request's `--concurrency`."""
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
    with contextlib.ExitStack() as ending:
        try:
            with run_state.waiting():
                logs = ending.enter_context(ray_session(request, shape, run_state.say))
        except StoppedWhileWaitingError:
            return ""
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
    """A description of the cluster's resources for the user."""
    import ray

    there = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    gpus = f", {there['GPU']:g} GPUs" if there.get("GPU") else ""
    return f"{there.get('CPU', 0):g} CPUs{gpus} on {plural(nodes, 'node')}"


def _resources(shape: TrialShape) -> Any:
    """The resources of a trial's actor.

    Ray Train places several workers in a placement group of its own; it cannot use Tune's. Then
    the actor only leads them and asks for one byte of memory, the least that Tune accepts.
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
    # The director reports a lost worker in a sentence; Tune would print a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    running_trials = RunningTrials(run_state)
    capacity_requests = CapacityRequests(shape, run_state.say)

    def on_update() -> None:
        if is_cluster and capacity_requests.is_due:
            capacity_requests.update(
                slots(), slots.bounded(run_state.director.num_open), running_trials.num_waiting
            )

    scratch = Path(tempfile.mkdtemp(prefix="archsearch-tune-")).absolute()
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
