"""`python -m pipeline.simulate`: whole searches in seconds, on curves that nobody has to train."""

from __future__ import annotations

import json as json_module
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from archsearch.errors import UsageError
from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir

app = new_app(
    "Simulate searches: the decisions of a real one (sampler, arms, rungs, outcomes) against a "
    "virtual clock, on curves that a search has recorded or on families of known truth. Shows "
    "what such a search costs and finds, whether its verdicts are true, and what the audit of "
    "early stopping sees.\n\n"
    "Scenarios: ahead, behind, costly, crossing, equal, fragile, three. Exit codes: 0 ok, 2 no "
    "such search or scenario, 3 the record cannot be used.",
    "python -m pipeline.simulate --scenario crossing",
    "python -m pipeline.simulate --scenario equal --searches 200 --random-share 0.5 --json",
    "python -m pipeline.simulate first --trials 100 --workers 8",
)


@app.command()
def simulate(
    name: Annotated[
        str | None,
        typer.Argument(help="A search whose recorded curves are used; else see --scenario."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Families of known truth; `crossing` if nothing is named.")
    ] = None,
    searches: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many, each with a seed of its own.")
    ] = 1,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials a search; by default 60, or the recorded search's."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trials at a time; by default 4, or the recorded search's."),
    ] = None,
    random_share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of random draws; by default 0.1, or the recorded search's."
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="What verdicts match: params, macs or seconds.")
    ] = "macs",
    seed: Annotated[int | None, typer.Option(min=0, help="Of the first search.")] = None,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Simulate searches."""
    from rich.console import Console

    from archsearch.analysis.members import checked_budget
    from archsearch.record.paths import RunsFolder
    from archsearch.simulation.repetitions import simulate_many, summarise
    from archsearch.simulation.results import as_json, print_simulation
    from archsearch.simulation.sources import recorded, synthetic

    matched = checked_budget(budget)
    if name is not None and scenario is not None:
        raise UsageError(f"give a search ({name}) or --scenario {scenario}, not both")
    world, setting = (
        synthetic(scenario or "crossing")
        if name is None
        else recorded(RunsFolder(runs_dir), name, database)
    )
    given = {"trials": trials, "workers": workers, "seed": seed}
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if random_share is not None:
        changes["policy"] = setting.policy.model_copy(update={"random_share": random_share})
    setting = replace(setting, **changes)
    outcomes = list(simulate_many(setting, world, searches, matched))
    summary = summarise(outcomes, world)
    if json:
        print(json_module.dumps(as_json(world, setting, outcomes, summary), indent=2))
    else:
        print_simulation(world, setting, outcomes, summary, matched, Console())


if __name__ == "__main__":
    run(app)
