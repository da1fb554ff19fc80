"""Ray Tune's searcher, scheduler and stopper: they pass on what the director says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from archsearch.halving.decision import Decision
from archsearch.search.assignment import Assignment, Report
from archsearch.search.conduct import Conduct
from archsearch.search.director import Pause

METRIC = "val_accuracy"
ASSIGNMENT = "assignment"
REPORT = "report"

_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


class DirectedSearcher(Searcher):
    """Gives Tune one assignment whenever a slot is free."""

    def __init__(self, conduct: Conduct, num_slots: Callable[[], int]) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._conduct = conduct
        self._num_slots = num_slots
        self._numbers: dict[str, int] = {}

    def suggest(  # type: ignore[override]  # Ray's own annotation forgets FINISHED
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """The next assignment, None while all slots are taken, or FINISHED."""

        def ask() -> Assignment | Pause:
            return self._conduct.director.next_assignment(self._num_slots())

        answer = self._conduct.guarded(ask, Pause.DONE)
        if answer is Pause.WAIT:
            return None
        if answer is Pause.DONE:
            return str(Searcher.FINISHED)
        self._numbers[trial_id] = answer.number
        return {ASSIGNMENT: answer.model_dump_json()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has seen it, and decided."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A slot is free; with `error`, because its worker is gone."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        director = self._conduct.director
        if error and not self._conduct.stop_now:
            self._conduct.guarded(lambda: director.on_lost(number, "it died"), None)
        else:
            self._conduct.guarded(lambda: director.on_released(number), None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a search is always continued from its record."""


class DirectedScheduler(FIFOScheduler):
    """Stops a trial when the director says so; the order of trials is the searcher's."""

    def __init__(self, conduct: Conduct) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._conduct = conduct

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """STOP or CONTINUE, after the report is recorded."""
        report = _REPORTS.validate_json(result[REPORT])
        decision = self._conduct.guarded(
            lambda: self._conduct.director.on_report(report), Decision.STOP
        )
        stop = decision is Decision.STOP
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class StoppedNow(BaseException):
    """Leaves Tune's loop; no `Exception`, which Tune would take for a failure of its own."""


class StopNow(tune.Stopper):
    """Ends Tune's loop at once after an error or a signal."""

    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: single trials are stopped by the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Nothing, or a way out of Tune's loop.

        Raises:
            StoppedNow: Everything ends now. Had it only told Tune to stop, Tune would wait for
                the running epochs, for up to ten minutes.
        """
        if self._conduct.stop_now:
            raise StoppedNow
        return False
