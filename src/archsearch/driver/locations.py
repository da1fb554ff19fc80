"""Where a search keeps what its workers write and read: settled when it begins or goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archsearch.data import share_data
from archsearch.driver.plan import Plan
from archsearch.engine.weights import share_weights
from archsearch.errors import UnfitError, UsageError
from archsearch.record.paths import RunsFolder
from archsearch.record.trial import SearchRow, TrialRecord
from archsearch.search.events import Listener, Notice
from archsearch.storage import check_storage


def in_its_storage(plan: Plan, search: SearchRow, trials: Sequence[TrialRecord]) -> Plan:
    """The plan with the storage in which the search's files are.

    That is the recorded one, or another one that is asked for and to which they were copied.

    Raises:
        UsageError: They were not: going on there would train everything again.
        StorageError: The store does not answer, or refuses.
    """
    runs = RunsFolder(plan.request.runs_dir)
    recorded = search.settings.storage
    asked = plan.request.storage
    if asked in (None, recorded):
        storage = asked if recorded is None else recorded
        request = plan.request.model_copy(update={"storage": storage})
        return replace(plan, request=request, paths=runs.search(search.name, storage))
    there = plan.paths.trials.tree()
    for trial in trials:
        newest = trial.epochs[-1].checkpoint if trial.epochs else None
        if newest is not None and f"{trial.number:04d}/{newest}" not in there:
            raise UsageError(
                f"the files of {search.name!r} are in {runs.of(search).trials}, and those of "
                f"trial {trial.number} are not in {plan.paths.trials}: leave --storage as it was"
                f"{'' if recorded is None else f' ({recorded})'}, or copy them there first"
            )
    return plan


def is_moved(plan: Plan, search: SearchRow) -> bool:
    """Whether the search's files are in another storage than its record says."""
    return plan.request.storage != search.settings.storage


def prepare_locations(plan: Plan, listener: Listener) -> None:
    """Make sure that workers can write their files, and have the data where they reach it.

    Raises:
        UnfitError: A folder or the storage cannot be written.
    """
    plan.paths.make_trials()
    request, storage = plan.request, plan.paths.storage
    if storage is not None:
        check_storage(storage)
    if request.address is None:
        return
    if request.database is None:
        listener(
            Notice(
                f"The record is {plan.paths.database.absolute()}, on this machine alone: to go on "
                "from another one, give --database postgresql+psycopg://…"
            )
        )
    if storage is None:
        listener(
            Notice(
                f"Workers write to {plan.paths.root.absolute()}: all nodes must share that "
                "folder; if they do not, give --storage s3://BUCKET/PREFIX"
            )
        )
        return
    try:
        copy = share_data(plan.data, storage)
        for sentence in share_weights(plan.space, storage):
            listener(Notice(sentence))
    except OSError as error:
        raise UnfitError(f"{storage}: cannot be written ({error.strerror or error})") from error
    if copy is not None:
        listener(Notice(f"The data is in {copy} now, from which each node takes a copy."))
