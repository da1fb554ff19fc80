"""Trains one trial by several workers: Ray Train's TorchTrainer, led by the trial's actor.

Ray Train places the workers in a placement group of its own, so the actor asks Tune for nothing.
It joins them to a process group, watches them and ends them together. Workers stay from one trial
to the next, as single workers do. The actor orders each epoch through a mailbox: Tune decides
after each epoch whether a trial goes on, and no epoch may begin before that.
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
from archsearch.engine.signs_of_life import Sign, send_signs
from archsearch.engine.worker import follow, work
from archsearch.errors import ArchsearchError
from archsearch.search.assignment import Assignment, Report
from archsearch.search.lost_worker import TAKEN_BACK
from archsearch.training.distributed import Ranks
from archsearch.training.progress import Progress

_GO, _CLOSE, _END = "go", "close", "end"
"""Orders beside an assignment: train the next epoch; drop the trial; end the worker."""

_STARTED = "started"
"""The first worker's first message."""

_ALIVE = "alive"
"""The first worker's message while it trains an epoch."""

_POLL_SECONDS = 0.5
_PLACEMENT_SECONDS = 20.0
"""How long the actor waits for its workers before it reports that they wait for resources."""

_JOIN_SECONDS = 5.0

_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


class WorkersLostError(ArchsearchError):
    """Workers of a trial are gone: it goes on with others from its last checkpoint."""


@ray.remote(num_cpus=0)
class Mailbox:
    """Passes orders to the workers and their messages to the actor; all can wait at once."""

    def __init__(self, num_workers: int) -> None:
        self._orders: list[asyncio.Queue[str]] = [asyncio.Queue() for _ in range(num_workers)]
        self._reports: asyncio.Queue[str] = asyncio.Queue()

    async def order(self, order: str) -> None:
        """Give an order to all workers."""
        for queue in self._orders:
            queue.put_nowait(order)

    async def next_order(self, rank: int) -> str:
        """Wait for a worker's next order."""
        return await self._orders[rank].get()

    async def report(self, report: str) -> None:
        """Send a message to the actor."""
        self._reports.put_nowait(report)

    async def next_report(self) -> str:
        """Wait for the workers' next message."""
        return await self._reports.get()


def _run_worker(config: dict[str, Any]) -> None:
    """Follow the mailbox's orders, from a worker's start to its end."""
    mailbox, ranks = config["mailbox"], Ranks.of_default_group()
    reports: Generator[Report | None, None, None] | None = None
    progress = Progress()
    if ranks.is_first:
        ray.get(mailbox.report.remote(_STARTED))
        send_signs(progress, lambda: mailbox.report.remote(_ALIVE), config["sign_seconds"])
    while (order := ray.get(mailbox.next_order.remote(ranks.rank))) != _END:
        if order != _GO and reports is not None:
            reports.close()
            reports = None
        if order not in (_GO, _CLOSE):
            assignment = Assignment.model_validate_json(order)
            if ranks.is_first:
                reports = work(assignment, ranks, progress)
            else:
                reports = follow(assignment, ranks)
        report = None if reports is None else next(reports, None)
        if report is not None:
            ray.get(mailbox.report.remote(report.model_dump_json()))


class Workers:
    """The workers of one trial's actor, as many and as large as the first trial wants.

    Args:
        assignment: Of that trial.
        folder: For Ray Train's own notes, which nobody reads.
    """

    def __init__(self, assignment: Assignment, folder: str) -> None:
        gpus = {"GPU": assignment.num_gpus} if assignment.num_gpus else {}
        self._bundle = {"CPU": float(assignment.num_threads)} | gpus
        self._num_workers = num_workers = assignment.num_workers
        self._sign_seconds = assignment.sign_seconds
        mailbox: Any = Mailbox  # Ray's decorator gives it what no type tells
        self._mailbox = mailbox.remote(num_workers)
        self._message: Any = None
        self._have_started = False
        self._error: Exception | None = None
        self._thread = BackgroundThread(lambda: self._fit(folder), "workers", self._failed)
        self._thread.start()

    @property
    def are_gone(self) -> bool:
        """Whether they can train nothing more."""
        return not self._thread.is_alive

    def work(self, assignment: Assignment) -> Generator[Report | Sign, None, None]:
        """Their reports on a trial, as `worker.work` has them, and signs between these.

        Raises:
            WorkersLostError: At least one is gone.
        """
        self._order(assignment.model_dump_json())
        try:
            while True:
                report = self._next_report(assignment)
                yield report
                if not isinstance(report, Sign):
                    self._order(_GO)
        finally:
            with contextlib.suppress(WorkersLostError):
                self._order(_CLOSE)

    def end(self) -> None:
        """End the workers; those that do not obey end with the actor."""
        with contextlib.suppress(WorkersLostError):
            self._order(_END)
            self._thread.join(_JOIN_SECONDS)

    def _order(self, order: str) -> None:
        try:
            ray.get(self._mailbox.order.remote(order))
        except ray.exceptions.RayError as error:
            raise WorkersLostError(f"the workers get no orders any more: {error}") from error

    def _next_report(self, assignment: Assignment) -> Report | Sign:
        began = time.monotonic()
        while True:
            self._message = self._message or self._mailbox.next_report.remote()
            if ray.wait([self._message], timeout=_POLL_SECONDS)[0]:
                message, self._message = ray.get(self._message), None
                report = self._parsed(message)
                if isinstance(report, Sign):
                    return report
                # When every worker gave up a trial, the second one's report may come later.
                if report is not None and (report.number, report.attempt) == (
                    assignment.number,
                    assignment.attempt,
                ):
                    return report
            elif self.are_gone:
                raise WorkersLostError(_reason_of(self._error))
            elif time.monotonic() - began > _PLACEMENT_SECONDS and self._wait_for_resources():
                return Sign.WAITING

    def _parsed(self, message: str) -> Report | Sign | None:
        if message == _ALIVE:
            return Sign.ALIVE
        if message != _STARTED:
            return _REPORTS.validate_json(message)
        if self._have_started:
            raise WorkersLostError("a worker was replaced, and has not loaded the trial")
        self._have_started = True
        return None

    def _wait_for_resources(self) -> bool:
        """Whether workers of this size wait for resources that no node has free."""
        if self._have_started:
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
        # The director decides whether a trial goes on elsewhere.
        no_retries: dict[str, Any] = {"max_failures": 0, "max_preemption_failures": 0}
        TorchTrainer(
            _run_worker,
            train_loop_config={"mailbox": self._mailbox, "sign_seconds": self._sign_seconds},
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


def _reason_of(error: Exception | None) -> str:
    """The text of the trial's error, from which `running_trials` reads how it was lost."""
    failures = getattr(error, "worker_failures", {}).values()
    if any(getattr(failure, "preempted", False) for failure in failures):
        return TAKEN_BACK
    return f"a worker of the trial is gone: {error}"
