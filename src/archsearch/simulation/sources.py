"""What a simulation is made from: a scenario's name, or a search on record."""

from __future__ import annotations

from archsearch.halving.rungs import Ladder
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search, read_trials
from archsearch.record.status import existing_record
from archsearch.simulation.curves import World
from archsearch.simulation.recorded import RecordedWorld
from archsearch.simulation.search import Setting
from archsearch.simulation.synthetic import synthetic_world
from archsearch.spaces.space import SearchSpace


def synthetic(name: str, seed: int = 0) -> tuple[World, Setting]:
    """A world of known truth, and the setting that its space implies.

    Raises:
        UsageError: The name is unknown.
    """
    world = synthetic_world(name, seed)
    fidelity = world.space.fidelity
    grace = fidelity.grace_period_epochs or 1
    ladder = Ladder(grace, fidelity.max_epochs, fidelity.reduction_factor)
    return world, Setting(world.space, ladder, seed=seed)


def recorded(
    runs: RunsFolder, name: str, database_url: str | None = None
) -> tuple[World, Setting]:
    """The curves of a search on record, and the setting in which it was run.

    Raises:
        UsageError: There is no such search, or the URL cannot be read.
        UnfitError: The record cannot be used, or knows no whole curve of some family.
    """
    database = existing_record(runs, name, database_url)
    try:
        search = get_search(database, name)
        trials = read_trials(database, search.id)
    finally:
        database.close()
    space = SearchSpace.model_validate(search.space)
    max_epochs, rungs = search.identity.max_epochs, search.settings.rungs
    setting = Setting(
        space=space,
        ladder=Ladder(min(rungs, default=max_epochs), max_epochs, space.fidelity.reduction_factor),
        trials=search.settings.trials,
        workers=search.settings.concurrency or Setting.workers,
        policy=search.settings.policy,
        seed=search.identity.seed,
        data=search.settings.data,
    )
    return RecordedWorld(name, space, trials), setting
