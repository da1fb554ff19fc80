"""Ray Tune's searcher, scheduler and stopper: they pass on what the director says."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from pydantic import TypeAdapter
from ray import tune
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from archsearch.engine.ray_private import OUT_OF_HOST_MEMORY, actor_finder
from archsearch.halving.decision import Decision
from archsearch.search.agenda import Pause
from archsearch.search.assignment import Assignment, EndReport, Report
from archsearch.search.lost_worker import TAKEN_BACK, LostWorker
from archsearch.search.run_state import RunState

METRIC = "epochs"
"""What Tune is told of a report: it must have some finite number, and decides nothing by it."""
ASSIGNMENT = "assignment"
REPORT = "report"

WAITING = "waiting"
"""In the place of a report: the trial has no workers yet, because there is no room for them."""

_SPOILS_ITS_WORKER = ("out_of_memory", "failed")
"""Memory stays in pieces, and a failed kernel of a GPU fails all that its process does later."""

_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


class RunningTrials:
    """The trials that Tune runs now, in its terms; kills those whose workers hang.

    Tune's parts know a trial by Tune's id, the director by its number.
    """

    def __init__(self, run_state: RunState) -> None:
        self.run_state = run_state
        self.numbers: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}
        self._actor_of: Callable[[Trial], Any] = lambda trial: None
        self._last_sign: dict[str, float] = {}
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
        """A trial has reported, if only that there is no room for its workers yet."""
        self._last_sign[trial.trial_id] = time.monotonic()
        if has_workers:
            self._without_workers.discard(trial.trial_id)
        else:
            self._without_workers.add(trial.trial_id)

    def failed(self, trial: Trial) -> None:
        """Tune has lost a trial; its exception says how."""
        self._lost.setdefault(trial.trial_id, _lost_worker_of(trial))

    def remove(self, trial_id: str) -> tuple[int | None, LostWorker]:
        """Tune has ended a trial: its number, and how it was lost, if it was."""
        self._trials.pop(trial_id, None)
        self._last_sign.pop(trial_id, None)
        self._without_workers.discard(trial_id)
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
        """Kill workers from which nothing has come for longer than the director's patience.

        A worker that starts, or changes from one trial to the next, can hang as well as one that
        trains. A trial that waits for resources has no worker yet, and may wait.
        """
        now = time.monotonic()
        patience = self.run_state.director.patience.seconds
        for trial_id, trial in self._trials.items():
            actor = self._actor_of(trial)
            if trial.is_finished() or actor is None or trial_id in self._lost:
                continue
            silent = now - self._last_sign.setdefault(trial_id, now)
            if silent > patience:
                self._lost[trial_id] = LostWorker("hung", f"no epoch in {silent:.0f} s")
                ray.kill(actor)

    def retire(self, trial: Trial) -> None:
        """End the worker of a trial that has ended, so that no other trial gets it."""
        actor = self._actor_of(trial)
        if actor is not None:
            ray.kill(actor)


def _lost_worker_of(trial: Trial) -> LostWorker:
    """How Tune lost a trial, from the files in which it has just noted the error.

    `Trial.get_error` reads their copies in the storage, which come later or never.
    """
    told = _content(trial.error_file).decode(errors="replace")
    if OUT_OF_HOST_MEMORY in told:
        return LostWorker("memory", "its machine ran out of memory")
    error: Any = None
    with contextlib.suppress(Exception):  # its parts may be of a version that only workers have
        # Tune wrote it in this process, into a folder that is this user's alone.
        error = pickle.loads(_content(trial.pickled_error_file))  # noqa: S301 -- see above
    if TAKEN_BACK in told or (isinstance(error, RayActorError) and error.preempted):
        return LostWorker("preempted", TAKEN_BACK)
    if isinstance(error, RayActorError) and error.actor_init_failed:
        last_line = told.strip().rpartition("\n")[2].strip()
        return LostWorker("lost", f"it could not start: {last_line[:200]}")
    return LostWorker("lost", "it died")


def _content(path: str | None) -> bytes:
    return Path(path).read_bytes() if path and Path(path).is_file() else b""


class DirectedSearcher(Searcher):
    """Gives Tune one assignment whenever a slot is free."""

    def __init__(self, running_trials: RunningTrials, num_slots: Callable[[], int]) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._running_trials = running_trials
        self._run_state = running_trials.run_state
        self._num_slots = num_slots

    def suggest(  # type: ignore[override]  # Ray's own annotation forgets FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """The next assignment, None while all slots are taken, or FINISHED.

        Raises:
            StoppedNow: Everything ends now.
        """

        def ask() -> Assignment | Pause:
            return self._run_state.director.next_assignment(self._num_slots())

        if (
            self._run_state.stop_now
        ):  # Tune asks again and again, and nothing else, while none runs
            raise StoppedNow
        answer = self._run_state.guarded(ask, Pause.DONE)
        if answer is Pause.WAIT:
            return None
        if answer is Pause.DONE:
            return str(Searcher.FINISHED)
        self._running_trials.numbers[trial_id] = answer.number
        return {ASSIGNMENT: answer.model_dump_json()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has seen it, and decided."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A slot is free; with `error`, because its worker is gone."""
        number, lost = self._running_trials.remove(trial_id)
        if number is None:
            return
        director = self._run_state.director
        if error and not self._run_state.stop_now:
            self._run_state.guarded(lambda: director.on_lost(number, lost), None)
        else:
            self._run_state.guarded(lambda: director.on_released(number), None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a search is always continued from its record."""


class DirectedScheduler(FIFOScheduler):
    """Stops a trial when the director says so; the order of trials is the searcher's."""

    def __init__(self, running_trials: RunningTrials) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._running_trials = running_trials
        self._run_state = running_trials.run_state

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Remember it: a worker that hangs is killed."""
        super().on_trial_add(tune_controller, trial)
        self._running_trials.add(trial, actor_finder(tune_controller))

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Note how it was lost; Tune tells the searcher next, without saying why."""
        self._running_trials.failed(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """STOP or CONTINUE, after the report is recorded."""
        is_waiting = result[REPORT] == WAITING
        self._running_trials.saw(trial, has_workers=not is_waiting)
        if is_waiting:
            return str(TrialScheduler.CONTINUE)
        report = _REPORTS.validate_json(result[REPORT])
        decision = self._run_state.guarded(
            lambda: self._run_state.director.on_report(report), Decision.STOP
        )
        stop = decision is Decision.STOP
        if stop and isinstance(report, EndReport) and report.outcome in _SPOILS_ITS_WORKER:
            # Tune keeps the worker of a stopped trial for the next one, and a trial that such a
            # worker refuses (`reset_config`) fails: only a worker that is gone is replaced.
            self._running_trials.retire(trial)
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class StoppedNow(BaseException):
    """Leaves Tune's loop; no `Exception`, which Tune would take for a failure of its own."""


class StopNow(tune.Stopper):
    """Ends Tune's loop at once after an error or a signal."""

    def __init__(self, running_trials: RunningTrials, on_turn: Callable[[], None]) -> None:
        self._running_trials = running_trials
        self._on_turn = on_turn

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its parts for a restore that this project never asks for.
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: single trials are stopped by the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Nothing, or a way out of Tune's loop.

        Raises:
            StoppedNow: Everything ends now. Had it only told Tune to stop, Tune would wait for
                the running epochs, for up to ten minutes.
        """
        if self._running_trials.run_state.stop_now:
            raise StoppedNow
        self._running_trials.kill_the_hung()
        self._on_turn()
        if (
            self._running_trials.run_state.director.is_draining
            and not self._running_trials.num_working
        ):
            raise StoppedNow  # nobody finishes an epoch, and for those that wait there is no room
        return False
