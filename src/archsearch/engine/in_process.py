"""Runs trials one after the other in the calling process, without Ray.

It is for stepping through a trial with a debugger, and for tests. The director sees no difference.
"""

from __future__ import annotations

from archsearch.engine.worker import work
from archsearch.halving.decision import Decision
from archsearch.search.agenda import Pause
from archsearch.search.assignment import Assignment
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState


def run_in_process(run_state: RunState, request: SearchRequest, gpus_per_trial: float) -> None:
    """Run trials one by one until the director has nothing left, or at once on `stop_now`."""
    director = run_state.director
    run_state.on_started(1, "this process")
    while not run_state.stop_now:
        assignment = director.next_assignment(num_slots=1)
        if isinstance(assignment, Pause):
            return
        _run_trial(run_state, assignment)
        director.on_released(assignment.number)


def _run_trial(run_state: RunState, assignment: Assignment) -> None:
    reports = work(assignment)
    try:
        for report in reports:
            if run_state.director.on_report(report) is Decision.STOP or run_state.stop_now:
                return
    finally:
        reports.close()
