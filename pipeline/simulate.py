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
    "such search, scenario, file or policy, 3 the record or the file cannot be used.",
    "python -m pipeline.simulate --scenario crossing",
    "python -m pipeline.simulate --scenario equal --searches 200 --random-share 0.5 --json",
    "python -m pipeline.simulate first --trials 100 --workers 8",
    "python -m pipeline.simulate --curves curves.csv --policy default --policy ray",
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
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A table of learning curves: CSV or Parquet with a column acc_N an epoch, every "
            "other column a parameter; or a search's own epochs.parquet. Policies are compared "
            "on it.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --curves, several times for several: default, shipped-0.1, uniform, full, "
            "one-epoch, ray, optuna; by default all.",
        ),
    ] = None,
    trainings: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="With --curves, the budget in full trainings: 50 by default."
        ),
    ] = None,
    searches: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="How many, each with a seed of its own; by default 1, with --curves 40 a policy.",
        ),
    ] = None,
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
    if curves is not None:
        others: dict[str, object] = {
            "a search's name": name,
            "--scenario": scenario,
            "--trials": trials,
            "--random-share": random_share,
            "--seed": seed,
        }
        _refuse("--curves", others)
        _compare(curves, policy, workers or 4, trainings or 50, searches or 40, json)
        return
    _refuse("a simulation without --curves", {"--policy": policy, "--trainings": trainings})
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
    outcomes = list(simulate_many(setting, world, searches or 1, matched))
    summary = summarise(outcomes, world)
    if json:
        print(json_module.dumps(as_json(world, setting, outcomes, summary), indent=2))
    else:
        print_simulation(world, setting, outcomes, summary, matched, Console())


def _refuse(what: str, given: dict[str, object]) -> None:
    """Refuse options that would be passed over.

    Raises:
        UsageError: One of them was given.
    """
    odd = [option for option, value in given.items() if value is not None]
    if odd:
        raise UsageError(f"{what} takes no {', '.join(odd)}: leave that out")


def _compare(
    curves: Path,
    policies: list[str] | None,
    workers: int,
    trainings: int,
    searches: int,
    json: bool,
) -> None:
    """Compare policies on a table of curves."""
    from rich.console import Console

    from archsearch.simulation.curve_table import read_curve_table
    from archsearch.simulation.policies import REPLAY_POLICIES
    from archsearch.simulation.regret import compare
    from archsearch.simulation.replay_results import print_replay

    table = read_curve_table(curves)
    names = list(dict.fromkeys(policies or REPLAY_POLICIES))
    results = list(compare(table, names, workers=workers, trainings=trainings, searches=searches))
    if json:
        print(json_module.dumps([result.as_json() for result in results], indent=2))
    else:
        print_replay(table, results, Console())


if __name__ == "__main__":
    run(app)
