"""Ray Tune's searcher, scheduler and stopper, which pass the director's decisions on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from archsearch.engine.ray_private import actor_finder
from archsearch.engine.running_trials import RunningTrials
from archsearch.engine.signs_of_life import Sign
from archsearch.halving.decision import Decision
from archsearch.search.agenda import Pause
from archsearch.search.assignment import Assignment, EndReport, Report

METRIC = "epochs"
"""What Tune is told of a report: it must have some finite number, and decides nothing by it."""
ASSIGNMENT = "assignment"
REPORT = "report"

_ENDS_ITS_WORKER = ("out_of_memory", "failed")
"""Outcomes after which a worker trains nothing more: its memory is fragmented, or a failed GPU
kernel makes everything fail that its process does later."""

_SIGNS = {sign.value for sign in Sign}

_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


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
        message = result[REPORT]
        self._running_trials.saw(trial, has_workers=message != Sign.WAITING.value)
        if message in _SIGNS:
            return str(TrialScheduler.CONTINUE)
        report = _REPORTS.validate_json(message)
        decision = self._run_state.guarded(
            lambda: self._run_state.director.on_report(report), Decision.STOP
        )
        stop = decision is Decision.STOP
        if stop and isinstance(report, EndReport) and report.outcome in _ENDS_ITS_WORKER:
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
            raise StoppedNow  # no trial trains, and those that wait would begin an epoch
        return False
