"""Runs a search from its request to its result, or continues it; the one entry for everybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from archsearch.account import supply_account
from archsearch.analysis.finalists import missing_runs
from archsearch.analysis.winner import Winner, find_winner
from archsearch.driver.assembly import make_director
from archsearch.driver.continuation import as_recorded, widening_of
from archsearch.driver.final_report import write_final_report
from archsearch.driver.heartbeat import Heartbeat
from archsearch.driver.locations import in_its_storage, is_moved, prepare_locations
from archsearch.driver.plan import Plan, make_plan
from archsearch.driver.result import SearchResult, read_result, summary_of
from archsearch.driver.signals import InterruptedSearchError, Interruption
from archsearch.driver.winner import announce_winner
from archsearch.errors import ArchsearchError
from archsearch.files import write_atomic
from archsearch.record import lease
from archsearch.record.consistency import check_record, check_record_is_there
from archsearch.record.database import Database
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import SearchEnded
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import find_search, get_search, read_refusals, read_trials
from archsearch.record.trial import FINISHED, SearchRow, TrialRecord, search_trials
from archsearch.record.writer import Writer, create_search
from archsearch.search.events import (
    Listener,
    Notice,
    PauseChanged,
    SearchStarted,
    WarningNotice,
    trial_ended,
)
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState
from archsearch.spaces.load import write_space
from archsearch.tracking.sender import CLOSE_SECONDS, Sender

URGENT_CLOSE_SECONDS = 2.0
"""How long tracking may take when the process must be gone within 10 s."""

TrialRunner = Callable[[RunState, SearchRequest, float], str | None]
"""Runs trials until the director has nothing left; returns the folder of worker logs."""


def run_search(
    request: SearchRequest,
    listener: Listener = lambda event: None,
    *,
    run_trials: TrialRunner | None = None,
    read_test_again: bool = False,
) -> SearchResult:
    """Run a search, or continue it where its record stands.

    Args:
        request: What is asked for.
        listener: Told of everything that happens, from several threads.
        run_trials: Where trials run; None takes Ray Tune.
        read_test_again: Let the winner of a search that has finished before answer the test
            split once more; recorded as a forced reading, beside the first one.

    Raises:
        UsageError: A name, the space file or an option is wrong, or the name is another search's.
        UnfitError: The machine, the data or the record cannot be used; another driver runs it.
        InterruptedSearchError: A signal came before trials ran.
    """
    supply_account()
    with Interruption() as interruption:
        plan = make_plan(request, listener)
        check_record_is_there(plan.paths, plan.database)
        database = Database.open(plan.database, create=True)
        try:
            if database.migrated is not None:
                listener(Notice(database.migrated))
            search = _registered(database, plan)
            trials = read_trials(database, search.id)
            plan = as_recorded(plan, search, trials)
            listener(Notice(plan.early_stopping))
            widening = widening_of(plan, search, len(trials))
            plan = in_its_storage(plan, search, trials)
            if not is_moved(plan, search) and _has_all(trials, search, plan.request):
                if widening is not None:
                    listener(Notice(f"{widening.sentence} Ask for more by --trials +20."))
                check_record(plan.paths, trials)
                runs = RunsFolder(plan.request.runs_dir)
                announce_winner(database, search, runs, listener, force=read_test_again)
                if Deliveries(database, search.id, plan.store.key).count_waiting():
                    sender = _sender(database, search, plan, listener)
                    sender.start()
                    sender.close()
                return read_result(database, search, plan, ending="it had finished before")
            token = lease.acquire(database, search.id)
            writer = Writer(database, search.id, token)
            try:
                # As the last holder of the lease has left them.
                search = get_search(database, search.name)
                trials = read_trials(database, search.id)
                check_record(plan.paths, trials)
                return _drive(
                    plan, search, trials, writer, listener, interruption, run_trials or _on_ray
                )
            finally:
                writer.release()
        finally:
            database.close()


def _registered(database: Database, plan: Plan) -> SearchRow:
    """The search's row; made, or found to be the same search."""
    search = find_search(database, plan.paths.name)
    if search is None:
        check_record(plan.paths, ())
        search = create_search(
            database,
            plan.paths.name,
            identity=plan.identity,
            settings=plan.settings(),
            space=plan.space.model_dump(mode="json"),
        )
        write_atomic(plan.paths.space, write_space(plan.space))
    return search


def _has_all(trials: Sequence[TrialRecord], search: SearchRow, request: SearchRequest) -> bool:
    """Whether the record has all that is asked for now, and its last driver ended in order.

    A search that had fewer trials to offer than were asked for goes on, as far as it can: with
    other caps, more memory or a wider space, it may have more now.
    """
    return (
        search.finished
        and all(t.is_finished for t in trials)
        and len(search_trials(trials)) >= request.trials
        and not missing_runs(trials, request.confirm_spec)
    )


def _drive(
    plan: Plan,
    search: SearchRow,
    trials: Sequence[TrialRecord],
    writer: Writer,
    listener: Listener,
    interruption: Interruption,
    run_trials: TrialRunner,
) -> SearchResult:
    """Hold the lease, run trials, tell tracking, and end in an orderly way whatever happens."""
    database, runs = writer.database, RunsFolder(plan.request.runs_dir)
    sender = _sender(database, search, plan, listener)
    refusals = read_refusals(database, search.id)
    run_state = RunState(make_director(plan, writer, trials, refusals, listener))
    with Heartbeat(writer, run_state.fail) as heartbeat:
        prepare_locations(plan, listener)
        search = _started(plan, search, len(trials), writer, listener)
        run_state.director.restore(trials)
        sender.start()
        interruption.attach(
            drain=lambda: run_state.director.drain("interrupted"),
            stop=run_state.stop,
        )

        def on_started(num_slots: int, devices: str) -> None:
            ended = tuple(trial_ended(t) for t in run_state.director.trials if t.is_finished)
            listener(
                SearchStarted(
                    search.name,
                    plan.request.trials,
                    num_slots,
                    devices,
                    plan.objective,
                    ended,
                )
            )

        run_state.on_started = on_started
        run_state.say = lambda sentence: listener(Notice(sentence))
        heartbeat.watch(lambda: _watch(run_state, plan, search, writer, heartbeat, listener))
        try:
            logs = None
            run_state.director.look_ahead()
            if run_state.director.unfinished:  # else its driver was killed in its last steps
                logs = run_trials(run_state, plan.request, plan.gpus_per_trial)
            if run_state.error is not None:
                raise run_state.error
            interruption.detach()  # a signal ends the reading: the same command makes it
            if interruption.exit_code is None and not run_state.director.unfinished:
                announce_winner(database, get_search(database, search.name), runs, listener)
        except InterruptedSearchError:
            raise
        except Exception as error:
            run_state.fail(error)  # as the record is told next
            raise
        finally:
            interruption.detach()
            _finish(run_state, search.name, plan, writer, interruption, listener)
            urgent = interruption.is_urgent
            sender.close(URGENT_CLOSE_SECONDS if urgent else CLOSE_SECONDS)
    if run_state.error is not None:  # in the last steps: the record or the lease was lost
        raise run_state.error
    return read_result(
        database,
        get_search(database, search.name),
        plan,
        worker_logs=logs,
        signal_code=interruption.exit_code,
    )


def _started(
    plan: Plan, search: SearchRow, num_trials: int, writer: Writer, listener: Listener
) -> SearchRow:
    """Record that a driver begins or continues, perhaps in a space that has become wider."""
    widening = widening_of(plan, search, num_trials)
    if widening is None:
        writer.start(plan.announcement(search))
        return search
    listener(Notice(widening.sentence))
    search = replace(search, identity=widening.identity, space=widening.space)
    writer.start(plan.announcement(search), is_wider=True)
    write_atomic(plan.paths.space, write_space(plan.space))
    return search


def _sender(database: Database, search: SearchRow, plan: Plan, listener: Listener) -> Sender:
    return Sender(
        database,
        search.id,
        plan.store,
        warn=lambda text: listener(WarningNotice(text)),
        command=plan.track_command,
    )


def _watch(
    run_state: RunState,
    plan: Plan,
    search: SearchRow,
    writer: Writer,
    heartbeat: Heartbeat,
    listener: Listener,
) -> None:
    """With every heartbeat: the time budget, and what other commands ask for."""
    director = run_state.director
    budget = plan.request.time_budget_seconds
    if budget is not None and search.seconds + heartbeat.seconds >= budget:
        director.drain(f"its time budget of {budget:g} s is used up")
    for kind in writer.take_requests():
        match kind:
            case "pause" | "unpause":
                director.pause(kind == "pause")
                listener(PauseChanged(kind == "pause"))
            case "stop":
                director.close("stopped by `pipeline.control`")
            case "cancel":
                director.drain("cancelled by `pipeline.control`")
                run_state.stop_now = True


def _finish(
    run_state: RunState,
    name: str,
    plan: Plan,
    writer: Writer,
    interruption: Interruption,
    listener: Listener,
) -> None:
    """Record how the run ended; the lease may be lost and the disk full by now."""
    trials, database = run_state.director.trials, writer.database
    try:
        search = get_search(database, name)
        winner = find_winner(database, search, trials)
        finished, ending = _how_it_ended(run_state, interruption, winner)
        search = replace(search, finished=finished, ending=ending)
        reports: list[str] = []
        if run_state.error is None and interruption.exit_code is None:  # else somebody waits
            reports = write_final_report(database, search, plan.paths, trials, listener)
        writer.finish(summary_of(SearchEnded, search, trials, plan.paths, winner, reports))
    except ArchsearchError as error:
        run_state.fail(error)


def _how_it_ended(
    run_state: RunState, interruption: Interruption, winner: Winner | None
) -> tuple[bool, str]:
    """Whether nothing is left to do, and for a person why the run ended."""
    if run_state.error is not None:
        return False, f"ended by an error: {run_state.error}"
    interrupted = interruption.exit_code is not None
    is_unread = winner is not None and winner.reading is None
    if not run_state.director.unfinished and not (interrupted and is_unread):
        complete = run_state.director.completeness
        return True, FINISHED if complete is None else f"{FINISHED}: {complete}"
    return False, "interrupted" if interrupted else run_state.director.ending or "interrupted"


def _on_ray(run_state: RunState, request: SearchRequest, gpus_per_trial: float) -> str | None:
    """Trials on Ray Tune; imported here, so that what needs no Ray never loads it."""
    from archsearch.engine.session import run_on_ray

    return run_on_ray(run_state, request, gpus_per_trial)
