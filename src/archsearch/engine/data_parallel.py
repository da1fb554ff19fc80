"""One trial by several workers: Ray Train's TorchTrainer, started and led by the trial's actor.

Ray Train places the workers (a placement group of its own, so the actor asks Tune for nothing),
joins them to a process group, watches them and ends them together. They stay from one trial to
the next, as single workers do. What they do, epoch by epoch, the actor says through a mailbox:
Tune decides after each epoch whether a trial goes on, and no epoch may begin before.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import Generator
from typing import Any

import ray
from pydantic import TypeAdapter

from archsearch.background import BackgroundThread
from archsearch.engine.autoscaling import GROUP_PREFIX
from archsearch.engine.ray_private import RAY_TRAIN_DEFAULTS
from archsearch.engine.worker import follow, work
from archsearch.errors import ArchsearchError
from archsearch.search.assignment import Assignment, Report
from archsearch.search.lost_worker import TAKEN_BACK
from archsearch.training.distributed import Ranks

_GO, _CLOSE, _END = "go", "close", "end"
"""Orders beside an assignment: the next epoch; let the trial be; no more trials."""

_HERE = "here"
"""What the first worker says before anything else."""

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 20.0
"""How long the actor waits for workers before it says that it does."""

_JOIN_SECONDS = 5.0

_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


class WorkersLostError(ArchsearchError):
    """Workers of a trial are gone: it goes on with others from its last checkpoint."""


@ray.remote(num_cpus=0)
class Mailbox:
    """Orders to each worker, reports back; asynchronous, so that all can wait at once."""

    def __init__(self, num_workers: int) -> None:
        self._orders: list[asyncio.Queue[str]] = [asyncio.Queue() for _ in range(num_workers)]
        self._reports: asyncio.Queue[str] = asyncio.Queue()

    async def order(self, order: str) -> None:
        """Say something to all workers."""
        for queue in self._orders:
            queue.put_nowait(order)

    async def next_order(self, rank: int) -> str:
        """Wait for what a worker is to do."""
        return await self._orders[rank].get()

    async def report(self, report: str) -> None:
        """Say something to the actor."""
        self._reports.put_nowait(report)

    async def next_report(self) -> str:
        """Wait for what a worker says."""
        return await self._reports.get()


def _do_as_ordered(config: dict[str, Any]) -> None:
    """What each worker does from its start to its end."""
    mailbox, ranks = config["mailbox"], Ranks.of_default_group()
    act = work if ranks.is_first else follow
    reports: Generator[Report | None, None, None] | None = None
    if ranks.is_first:
        ray.get(mailbox.report.remote(_HERE))
    while (order := ray.get(mailbox.next_order.remote(ranks.rank))) != _END:
        if order != _GO and reports is not None:
            reports.close()
            reports = None
        if order not in (_GO, _CLOSE):
            reports = act(Assignment.model_validate_json(order), ranks)
        report = None if reports is None else next(reports, None)
        if report is not None:
            ray.get(mailbox.report.remote(report.model_dump_json()))


class Workers:
    """The workers of one trial's actor.

    Args:
        num_workers: How many train a trial together.
        num_cpus: Of each of them.
        num_gpus: Of each of them: 0 or 1.
        folder: For Ray Train's own notes, which nobody reads.
    """

    def __init__(self, num_workers: int, num_cpus: int, num_gpus: float, folder: str) -> None:
        self._bundle = {"CPU": float(num_cpus)} | ({"GPU": num_gpus} if num_gpus else {})
        self._num_workers = num_workers
        mailbox: Any = Mailbox  # Ray's decorator gives it what no type tells
        self._mailbox = mailbox.remote(num_workers)
        self._said: Any = None
        self._are_here = False
        self._error: Exception | None = None
        self._thread = BackgroundThread(lambda: self._fit(folder), "workers", self._failed)
        self._thread.start()

    @classmethod
    def for_trial(cls, assignment: Assignment, folder: str) -> Workers:
        """As many and as large as an assignment wants."""
        return cls(assignment.num_workers, assignment.num_threads, assignment.num_gpus, folder)

    @property
    def are_gone(self) -> bool:
        """Whether they can train nothing more."""
        return not self._thread.is_alive

    def work(self, assignment: Assignment) -> Generator[Report | None, None, None]:
        """Their reports on a trial, as `worker.work` has them; None while there is no room yet.

        Raises:
            WorkersLostError: At least one is gone.
        """
        self._order(assignment.model_dump_json())
        try:
            while True:
                report = self._next_report(assignment)
                yield report
                if report is not None:
                    self._order(_GO)
        finally:
            with contextlib.suppress(WorkersLostError):
                self._order(_CLOSE)

    def end(self) -> None:
        """Let them go; those that do not hear are ended with the actor."""
        with contextlib.suppress(WorkersLostError):
            self._order(_END)
            self._thread.join(_JOIN_SECONDS)

    def _order(self, order: str) -> None:
        try:
            ray.get(self._mailbox.order.remote(order))
        except ray.exceptions.RayError as error:
            raise WorkersLostError(f"the workers cannot be told anything: {error}") from error

    def _next_report(self, assignment: Assignment) -> Report | None:
        began = time.monotonic()
        while True:
            self._said = self._said or self._mailbox.next_report.remote()
            if ray.wait([self._said], timeout=_LOOK_SECONDS)[0]:
                said, self._said = ray.get(self._said), None
                report = self._understood(said)
                # Of a trial that every worker gave up, the second one may say so later.
                if report is not None and (report.number, report.attempt) == (
                    assignment.number,
                    assignment.attempt,
                ):
                    return report
            elif self.are_gone:
                raise WorkersLostError(_how_lost(self._error))
            elif time.monotonic() - began > _PATIENCE_SECONDS and self._wait_for_room():
                return None

    def _understood(self, said: str) -> Report | None:
        if said != _HERE:
            return _REPORTS.validate_json(said)
        if self._are_here:
            raise WorkersLostError("a worker was replaced, and knows nothing of the trial")
        self._are_here = True
        return None

    def _wait_for_room(self) -> bool:
        """Whether workers of this size wait for nodes, and not for each other."""
        if self._are_here:
            return False
        bundles = [self._bundle] * self._num_workers
        groups = ray.util.placement_group_table().values()
        return any(
            group["state"] == "PENDING"
            and list(group["bundles"].values()) == bundles
            and not group["name"].startswith(GROUP_PREFIX)
            for group in groups
        )

    def _fit(self, folder: str) -> None:
        """Run Ray Train until the workers end or one is lost."""
        for name, value in RAY_TRAIN_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        from archsearch.engine.process_group import ProcessGroupConfig

        known = {field.name for field in dataclasses.fields(FailureConfig)}
        # Whether a trial goes on elsewhere is the director's to say.
        no_retries: dict[str, Any] = {"max_failures": 0, "max_preemption_failures": 0}
        TorchTrainer(
            _do_as_ordered,
            train_loop_config={"mailbox": self._mailbox},
            torch_config=ProcessGroupConfig(
                backend="cpu:gloo,cuda:nccl" if self._bundle.get("GPU") else "gloo"
            ),
            scaling_config=ScalingConfig(
                num_workers=self._num_workers,
                use_gpu="GPU" in self._bundle,
                resources_per_worker=self._bundle,
            ),
            run_config=RunConfig(
                name="workers",
                storage_path=folder,
                failure_config=FailureConfig(
                    **{name: value for name, value in no_retries.items() if name in known}
                ),
            ),
        ).fit()

    def _failed(self, error: Exception) -> None:
        self._error = error


def _how_lost(error: Exception | None) -> str:
    """For the trial's error, from which `tune_adapters` reads how the worker was lost."""
    failures = getattr(error, "worker_failures", {}).values()
    if any(getattr(failure, "preempted", False) for failure in failures):
        return TAKEN_BACK
    return f"a worker of the trial is gone: {error}"
