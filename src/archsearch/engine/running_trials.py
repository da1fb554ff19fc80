"""The trials that Tune runs: which worker has which, which hang, and how one was lost."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial

from archsearch.engine.ray_private import OUT_OF_HOST_MEMORY
from archsearch.search.lost_worker import TAKEN_BACK, LostWorker
from archsearch.search.run_state import RunState

START_SECONDS = 300.0
"""How long a worker may take to its first sign of life: to start, and to import torch."""

_LONGEST_TURN_SECONDS = 5.0


class SilenceClock:
    """Time in which signs of life could be heard.

    A driver that is suspended hears nothing, and finds the signs when it goes on; so each turn of
    its loop counts for a few seconds at most.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.monotonic()

    def tick(self) -> float:
        """The time now; called in each turn of the loop that receives signs."""
        now = time.monotonic()
        self.seconds += min(now - self._last, _LONGEST_TURN_SECONDS)
        self._last = now
        return self.seconds


class RunningTrials:
    """The trials that Tune runs now; kills the workers that hang.

    Tune's parts know a trial by Tune's id, the director by its number.
    """

    def __init__(self, run_state: RunState) -> None:
        self.run_state = run_state
        self.numbers: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}
        self._actor_of: Callable[[Trial], Any] = lambda trial: None
        self._clock = SilenceClock()
        self._last_sign: dict[str, float] = {}
        self._has_started: set[str] = set()
        self._without_workers: set[str] = set()
        self._lost: dict[str, LostWorker] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its parts for a restore that this project never asks for.
        return {}

    def add(self, trial: Trial, actor_of: Callable[[Trial], Any]) -> None:
        """Tune has made a trial of an assignment; `actor_of` finds its worker's handle."""
        self._trials[trial.trial_id] = trial
        self._actor_of = actor_of

    def saw(self, trial: Trial, *, has_workers: bool) -> None:
        """A trial has given a report or a sign of life, or waits for room for its workers."""
        self._last_sign[trial.trial_id] = self._clock.seconds
        if has_workers:
            self._without_workers.discard(trial.trial_id)
            self._has_started.add(trial.trial_id)
        else:
            self._without_workers.add(trial.trial_id)

    def failed(self, trial: Trial) -> None:
        """Tune has lost a trial; its exception says how."""
        self._lost.setdefault(trial.trial_id, lost_worker_of(trial))

    def remove(self, trial_id: str) -> tuple[int | None, LostWorker]:
        """Tune has ended a trial: its number, and how it was lost, if it was."""
        self._trials.pop(trial_id, None)
        self._last_sign.pop(trial_id, None)
        self._without_workers.discard(trial_id)
        self._has_started.discard(trial_id)
        lost = self._lost.pop(trial_id, LostWorker("lost", "it died"))
        return self.numbers.pop(trial_id, None), lost

    @property
    def num_waiting(self) -> int:
        """Trials that have no worker yet, because there is no room for one."""
        return sum(self._waits(trial) for trial in self._running)

    @property
    def num_working(self) -> int:
        """Trials that have their workers."""
        return sum(not self._waits(trial) for trial in self._running)

    @property
    def _running(self) -> list[Trial]:
        return [trial for trial in self._trials.values() if not trial.is_finished()]

    def _waits(self, trial: Trial) -> bool:
        return self._actor_of(trial) is None or trial.trial_id in self._without_workers

    def kill_the_hung(self) -> None:
        """Kill workers that have given no sign of life for the search's `hang_seconds`.

        Before its first sign a worker has at least `START_SECONDS`. A trial that waits for
        resources has no worker yet, and may wait.
        """
        now = self._clock.tick()
        hang_seconds = self.run_state.director.hang_seconds
        for trial_id, trial in self._trials.items():
            actor = self._actor_of(trial)
            if trial.is_finished() or actor is None or trial_id in self._lost:
                continue
            silent = now - self._last_sign.setdefault(trial_id, now)
            has_started = trial_id in self._has_started
            if silent > (hang_seconds if has_started else max(hang_seconds, START_SECONDS)):
                self._lost[trial_id] = LostWorker("hung", f"no sign of life for {silent:.0f} s")
                ray.kill(actor)

    def retire(self, trial: Trial) -> None:
        """End the worker of a trial that has ended, so that no other trial gets it."""
        actor = self._actor_of(trial)
        if actor is not None:
            ray.kill(actor)


def lost_worker_of(trial: Trial) -> LostWorker:
    """How Tune lost a trial, from the files in which it has just noted the error.

    `Trial.get_error` reads their copies in the storage, which come later or never.
    """
    text = _content(trial.error_file).decode(errors="replace")
    if OUT_OF_HOST_MEMORY in text:
        return LostWorker("memory", "its machine ran out of memory")
    error: Any = None
    with contextlib.suppress(Exception):  # its parts may be of a version that only workers have
        # Tune wrote it in this process, into a folder that is this user's alone.
        error = pickle.loads(_content(trial.pickled_error_file))  # noqa: S301 -- see above
    if TAKEN_BACK in text or (isinstance(error, RayActorError) and error.preempted):
        return LostWorker("preempted", TAKEN_BACK)
    if isinstance(error, RayActorError) and error.actor_init_failed:
        last_line = text.strip().rpartition("\n")[2].strip()
        return LostWorker("lost", f"it could not start: {last_line[:200]}")
    return LostWorker("lost", "it died")


def _content(path: str | None) -> bytes:
    return Path(path).read_bytes() if path and Path(path).is_file() else b""
