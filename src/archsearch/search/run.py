"""Runs a search from its request to its result, or continues it; the one entry for everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.data import DataSpec, PreparedData, prepare
from archsearch.errors import ArchsearchError, NoTrialSucceededError, UnfitError
from archsearch.files import write_atomic
from archsearch.halving.rung_table import RungTable
from archsearch.halving.rungs import Ladder
from archsearch.record import lease
from archsearch.record.consistency import check_record_is_newest, check_record_is_there
from archsearch.record.database import Database
from archsearch.record.outbox import Outbox
from archsearch.record.paths import RunsFolder, SearchPaths
from archsearch.record.reader import find_search, get_search, read_refusals, read_trials
from archsearch.record.requests import take_requests
from archsearch.record.trial import SearchRow, TrialRecord, leaderboard
from archsearch.record.writer import Writer, create_search
from archsearch.search.conduct import Conduct
from archsearch.search.director import Director, Slot
from archsearch.search.draws import Draws
from archsearch.search.events import Listener, Said, SearchStarted, Warned, trial_ended
from archsearch.search.heartbeat import Heartbeat
from archsearch.search.interruption import Interruption
from archsearch.search.patience import Patience
from archsearch.search.preflight import Preflight
from archsearch.search.provenance import code_version
from archsearch.search.request import SearchRequest, check_identity, identity_of
from archsearch.search.result import SearchResult
from archsearch.search.study import Study
from archsearch.spaces.load import load_space, write_space
from archsearch.spaces.space import SearchSpace
from archsearch.tracking.sender import CLOSE_SECONDS, Sender
from archsearch.tracking.store import TrackingStore, tracking_store

URGENT_CLOSE_SECONDS = 2.0
"""How long tracking may take when the process must be gone within 10 s."""

TrialRunner = Callable[[Conduct, SearchRequest, float], str | None]
"""Runs trials until the director has nothing left; returns the folder of worker logs."""


@dataclass(frozen=True)
class _Plan:
    """Everything about a search that is settled before it touches its record."""

    request: SearchRequest
    space: SearchSpace
    data: PreparedData
    ladder: Ladder
    preflight: Preflight
    gpus_per_trial: float
    identity: dict[str, Any]
    paths: SearchPaths
    store: TrackingStore


def run_search(
    request: SearchRequest,
    listener: Listener = lambda event: None,
    *,
    run_trials: TrialRunner | None = None,
) -> SearchResult:
    """Run a search, or continue it where its record stands.

    Args:
        request: What is asked for.
        listener: Told of everything that happens, from several threads.
        run_trials: Where trials run; None takes Ray Tune.

    Raises:
        UsageError: A name, the space file or an option is wrong, or the name is another search's.
        UnfitError: The machine, the data or the record cannot be used; another driver runs it.
        InterruptedSearchError: A signal came before trials ran.
    """
    with Interruption() as interruption:
        plan = _plan(request, listener)
        with_database = plan.paths.database if request.database is None else request.database
        check_record_is_there(plan.paths, with_database)
        database = Database.open(with_database, create=True)
        try:
            search = _registered(database, plan)
            if _has_all(database, search, request):
                check_record_is_newest(plan.paths, read_trials(database, search.id))
                if Outbox(database, search.id).count_waiting():
                    sender = _sender(database, search, plan, listener)
                    sender.start()
                    sender.close()
                return _result(database, search, plan, "it had finished before", None)
            token = lease.acquire(database, search.id)
            writer = Writer(database, search.id, token)
            try:
                check_record_is_newest(plan.paths, read_trials(database, search.id))
                return _drive(plan, search, writer, listener, interruption, run_trials or _on_ray)
            finally:
                writer.release()
        finally:
            database.close()


def _plan(request: SearchRequest, listener: Listener) -> _Plan:
    space = load_space(request.space)
    runs = RunsFolder(request.runs_dir)
    store = tracking_store(runs, request.tracking_uri)
    spec = DataSpec(
        name=request.data, train_size=request.train_size, image_size=request.image_size
    )
    data = prepare(spec, cache_dir=runs.data_cache, data_dir=request.data_dir)
    max_epochs = request.max_epochs or space.fidelity.max_epochs
    gpus = _gpus_per_trial(request)
    preflight = request.preflight(space, data.input_spec, has_accelerator=gpus > 0)
    ladder = _ladder(space, data, max_epochs)
    identity = identity_of(request, space, data)
    paths = runs.search(request.chosen_name(space, identity))
    listener(Said(f"search {paths.name}: {space.name} on {data.name}, {_size(data)}"))
    listener(Said(ladder.sentence))
    if request.max_macs == "default" and gpus == 0:
        _, how = preflight.caps[-1]
        cap = preflight.caps[-1][0].max_macs
        if cap is not None:
            listener(
                Said(f"No accelerator: variants above {cap:,} MACs are refused (lift: {how}).")
            )
    return _Plan(request, space, data, ladder, preflight, gpus, identity, paths, store)


def _size(data: PreparedData) -> str:
    side = f"{data.in_channels}×{data.image_size}×{data.image_size}"
    return f"{data.num_train:,} training and {data.num_val:,} validation images of {side}"


def _ladder(space: SearchSpace, data: PreparedData, max_epochs: int) -> Ladder:
    steps = max(1, data.num_train // min(space.largest_batch_size, data.num_train))
    fidelity = space.fidelity
    grace = fidelity.grace_period_epochs
    return Ladder.for_search(
        max_epochs, fidelity.reduction_factor, steps, min(grace, max_epochs) if grace else None
    )


def _gpus_per_trial(request: SearchRequest) -> float:
    """What was asked for, or one GPU where this machine has any."""
    if request.gpus_per_trial is not None:
        return request.gpus_per_trial
    import torch

    return 1.0 if request.address is None and torch.cuda.is_available() else 0.0


def _registered(database: Database, plan: _Plan) -> SearchRow:
    """The search's row; made, or found to be the same search."""
    search = find_search(database, plan.paths.name)
    if search is None:
        search = create_search(
            database,
            plan.paths.name,
            identity=plan.identity,
            settings=_settings(plan),
            space=plan.space.model_dump(mode="json"),
        )
        write_atomic(plan.paths.space, write_space(plan.space))
    check_identity(search.name, search.identity, plan.identity)
    return search


def _settings(plan: _Plan) -> dict[str, Any]:
    """What the command asked for, as the record keeps it; no URL, for it may hold a secret."""
    request = plan.request.model_dump(mode="json", exclude={"database", "tracking_uri"})
    return request | {
        "data": plan.data.model_dump(mode="json"),
        "rungs": plan.ladder.rungs,
        "tracking_uri": plan.store.recorded,
    }


def _has_all(database: Database, search: SearchRow, request: SearchRequest) -> bool:
    """Whether the search has ended and nothing more is asked for now."""
    if not search.finished:
        return False
    trials = read_trials(database, search.id)
    exhausted = search.settings.get("trials", 0) > len(trials)
    return all(t.is_finished for t in trials) and (exhausted or len(trials) >= request.trials)


def _drive(
    plan: _Plan,
    search: SearchRow,
    writer: Writer,
    listener: Listener,
    interruption: Interruption,
    run_trials: TrialRunner,
) -> SearchResult:
    """Hold the lease, run trials, tell tracking, and end in an orderly way whatever happens."""
    database = writer.database
    sender = _sender(database, search, plan, listener)
    conduct = Conduct(_director(plan, search, writer, listener))
    with Heartbeat(writer, conduct.fail) as heartbeat:
        writer.start(_settings(plan), _announcement(plan, search))
        conduct.director.restore(read_trials(database, search.id))
        sender.start()
        interruption.attach(
            drain=lambda: conduct.director.drain("interrupted"),
            stop=lambda: setattr(conduct, "stop_now", True),
        )

        def on_started(num_slots: int, devices: str) -> None:
            interruption.install()  # Ray takes the signals when it starts
            ended = tuple(trial_ended(t) for t in conduct.director.trials if t.is_finished)
            listener(SearchStarted(search.name, plan.request.trials, num_slots, devices, ended))

        conduct.on_started = on_started
        heartbeat.watch(lambda: _watch(conduct, plan, search, writer, heartbeat))
        try:
            logs = run_trials(conduct, plan.request, plan.gpus_per_trial)
            if conduct.error is not None:
                raise conduct.error
        finally:
            interruption.detach()
            _finish(conduct, plan, writer, interruption)
            urgent = interruption.is_urgent
            sender.close(URGENT_CLOSE_SECONDS if urgent else CLOSE_SECONDS)
    refreshed = get_search(database, search.name)
    ending = refreshed.ending or ""
    return _result(database, refreshed, plan, ending, logs, interruption.exit_code)


def _sender(database: Database, search: SearchRow, plan: _Plan, listener: Listener) -> Sender:
    return Sender(
        database,
        search.id,
        plan.store,
        warn=lambda text: listener(Warned(text)),
        command=_track_command(plan),
    )


def _director(plan: _Plan, search: SearchRow, writer: Writer, listener: Listener) -> Director:
    """Everything that decides, filled from the record."""
    trials = read_trials(writer.database, search.id)
    study = Study(plan.space, plan.request.seed)
    study.restore(trials, read_refusals(writer.database, search.id))
    draws = Draws(
        space=plan.space,
        study=study,
        preflight=plan.preflight,
        input_spec=plan.data.input_spec,
        max_epochs=plan.ladder.max_epochs,
        seed=plan.request.seed,
        random_share=plan.request.random_share,
        on_refusal=writer.refuse,
    )
    draws.restore(trials)
    if draws.skipped_baselines:
        names = ", ".join(draws.skipped_baselines)
        listener(Said(f"Baselines above the cap are skipped: {names}."))
    return Director(
        writer=writer,
        paths=plan.paths,
        draws=draws,
        study=study,
        rungs=RungTable(plan.ladder),
        data=plan.data,
        num_trials=plan.request.trials,
        slot=Slot(plan.request.cpus_per_trial, plan.gpus_per_trial),
        patience=Patience(plan.request.hang_seconds),
        listener=listener,
    )


def _announcement(plan: _Plan, search: SearchRow) -> dict[str, Any]:
    """What tracking is told when a driver starts."""
    return {
        "name": search.name,
        "uuid": search.uuid,
        "space_name": plan.space.name,
        "space": search.space,
        "data": plan.data.model_dump(mode="json", exclude={"path"}),
        "identity": search.identity,
        "settings": _settings(plan),
        "tags": code_version(),
    }


def _watch(
    conduct: Conduct, plan: _Plan, search: SearchRow, writer: Writer, heartbeat: Heartbeat
) -> None:
    """With every heartbeat: the time budget, and what other commands ask for."""
    director = conduct.director
    budget = plan.request.time_budget_seconds
    if budget is not None and search.seconds + heartbeat.seconds >= budget:
        director.drain(f"its time budget of {budget:g} s is used up")
    for kind in take_requests(writer.database, search.id):
        match kind:
            case "pause" | "unpause":
                director.pause(kind == "pause")
            case "stop":
                director.close("stopped by `pipeline.control`")
            case "cancel":
                director.drain("cancelled by `pipeline.control`")
                conduct.stop_now = True


def _finish(conduct: Conduct, plan: _Plan, writer: Writer, interruption: Interruption) -> None:
    """Record how the run ended; the lease may be lost and the disk full by now."""
    director = conduct.director
    finished = conduct.error is None and not director.unfinished
    if finished:
        ending = "finished"
    elif conduct.error is not None:
        ending = f"ended by an error: {conduct.error}"
    elif interruption.exit_code is not None:
        ending = "interrupted"
    else:
        ending = director.ending or "interrupted"
    try:
        writer.finish(finished=finished, ending=ending, summary=_summary(director.trials, plan))
    except ArchsearchError as error:
        conduct.fail(error)


def _summary(trials: list[TrialRecord], plan: _Plan) -> dict[str, Any]:
    """What tracking is told when a driver ends: the leaderboard, and the best files."""
    board = leaderboard(trials)
    best: dict[str, TrialRecord] = {}
    for trial in board:
        best.setdefault(trial.family, trial)
    return {
        "leaderboard": [
            {
                "number": trial.number,
                "name": trial.name,
                "family": trial.family,
                "val_accuracy": trial.val_accuracy,
                "params": trial.complexity["params"],
                "macs": trial.complexity["macs"],
            }
            for trial in board
        ],
        "checkpoints": [
            {"number": trial.number, "path": str(_checkpoint(trial, plan.paths))}
            for trial in best.values()
        ],
    }


def _checkpoint(trial: TrialRecord, paths: SearchPaths) -> Path:
    return (paths.trial(trial.number).checkpoints / str(trial.epochs[-1].checkpoint)).absolute()


def _result(
    database: Database,
    search: SearchRow,
    plan: _Plan,
    ending: str,
    worker_logs: str | None,
    signal_code: int | None = None,
) -> SearchResult:
    trials = read_trials(database, search.id)
    outcome_code = 0 if leaderboard(trials) else NoTrialSucceededError.exit_code
    return SearchResult(
        name=search.name,
        ending=ending,
        finished=search.finished,
        seconds=search.seconds,
        trials=trials,
        num_refused=len(read_refusals(database, search.id)),
        paths=plan.paths,
        tracking=plan.store.label,
        worker_logs=worker_logs,
        undelivered=Outbox(database, search.id).count_waiting(),
        exit_code=outcome_code if signal_code is None else signal_code,
    )


def _track_command(plan: _Plan) -> str:
    command = f"python -m pipeline.track {plan.paths.name}"
    if plan.request.runs_dir != Path("runs"):
        command += f" --runs-dir {plan.request.runs_dir}"
    return command


def _on_ray(conduct: Conduct, request: SearchRequest, gpus_per_trial: float) -> str | None:
    """Trials on Ray Tune; imported here, so that what needs no Ray never loads it."""
    from archsearch.search.engine import run_on_ray

    return run_on_ray(conduct, request, gpus_per_trial)
