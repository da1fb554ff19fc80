"""`python -m pipeline.search`: run a search, or continue it."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from archsearch.errors import UsageError
from archsearch.record.policy import SamplerName, SchedulerName
from pipeline._main import new_app, run
from pipeline._options import (
    Data,
    Database,
    DataDir,
    RunsDir,
    Storage,
    TrackingUri,
    parsed_duration,
)

app = new_app(
    "Search a space of convolutional networks, or continue a search.\n\n"
    "The same command continues a search that was interrupted, and prints the result of one "
    "that has finished. Nothing that was trained is trained again. Ctrl-C once finishes the "
    "running epochs, twice stops now; both can be continued.\n\n"
    "Exit codes: 0 ok, 2 wrong option, name or space file, 3 the machine, the data or the record "
    "cannot be used, 4 no trial completed, 130 after Ctrl-C, 143 after SIGTERM, SIGHUP, SIGUSR1 "
    "or SIGUSR2.",
    "python -m pipeline.search --space wrn_vs_resnext",
    "python -m pipeline.search --space mine.yaml --data fashion_mnist --time-budget 2h",
    "python -m pipeline.search --space all_families --trials 40 --max-params 2M --name first",
)


@app.command()
def search(
    space: Annotated[
        str,
        typer.Option(
            help="A shipped space's name (`python -m pipeline.spaces list`), or the path of a "
            "space file."
        ),
    ],
    data: Data = "digits",
    data_dir: DataDir = None,
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Train on so many images, not on all.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Resize images to this side, once.")
    ] = None,
    trials: Annotated[
        str,
        typer.Option(
            help="Trials in all, baselines included; or +50: so many more than were asked for "
            "before. The same +50 again, while those are not finished, goes on with them."
        ),
    ] = "20",
    time_budget: Annotated[
        str | None,
        typer.Option(help="Pause after so long, such as 90s, 30m or 2h (resumable)."),
    ] = None,
    concurrency: Annotated[
        str,
        typer.Option(
            help="Trials at a time, such as 4; `auto`: all that the machine or the cluster has "
            "room for, more when nodes come and fewer when they go."
        ),
    ] = "auto",
    cpus_per_trial: Annotated[int, typer.Option(min=1, help="Processor threads a trial.")] = 1,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="GPUs a trial, or a fraction of one; by default one if any. Above 1, as many "
            "workers train it together.",
        ),
    ] = None,
    workers_per_trial: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that train a trial together and share its batches, with a GPU each "
            "where there are any; by default one, or as many as --gpus-per-trial.",
        ),
    ] = None,
    sync_batch_norm: Annotated[
        bool,
        typer.Option(
            "--sync-batch-norm",
            help="Let BatchNorm normalise by the batch of all workers of a trial (GPUs only).",
        ),
    ] = False,
    linear_scaling: Annotated[
        bool,
        typer.Option(
            "--linear-scaling",
            help="Let each worker of a trial take a whole batch, and multiply the learning rate "
            "by their number, instead of sharing the batch.",
        ),
    ] = False,
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of full training; by default the space's.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(help="Refuse variants with more parameters, such as 2M.")
    ] = None,
    max_macs: Annotated[
        str,
        typer.Option(
            help="Refuse variants with more MACs an image, such as 50M. The default is a cap "
            "where no GPU is (160,000 MACs a pixel), else none; `none` lifts it."
        ),
    ] = "default",
    retry_memory: Annotated[
        bool,
        typer.Option(
            "--retry-memory",
            help="Variants predicted to take as much memory as a trial that ran out of it are "
            "refused. This forgets the trials that did so before: there is more room now.",
        ),
    ] = False,
    sampler: Annotated[
        SamplerName | None,
        typer.Option(
            help="What proposes trials: tpe (the default) learns from those before, uniform does "
            "not. A search that goes on keeps its own.",
        ),
    ] = None,
    scheduler: Annotated[
        SchedulerName | None,
        typer.Option(
            help="What stops weak trials: stopping (ASHA, stopping variant; the default) or none. "
            "A search that goes on keeps its own.",
        ),
    ] = None,
    random_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of trials drawn uniformly and never stopped; 0.1, or the search's own.",
        ),
    ] = None,
    confirm: Annotated[
        str,
        typer.Option(
            metavar="KxS",
            help="At the end train the K best trials, and the best of each family at matched "
            "MACs, again from scratch with S seeds each; they decide the winner. none: no winner.",
        ),
    ] = "3x3",
    hang_seconds: Annotated[
        float,
        typer.Option(
            min=1,
            help="Kill a worker that is silent for so long: it has finished no training step, no "
            "batch of validation images and no other piece of its work.",
        ),
    ] = 300.0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same search on one worker.")] = 0,
    name: Annotated[
        str | None,
        typer.Option(help="The search's name; by default it follows from space, data and seed."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    storage: Storage = None,
    database: Database = None,
    tracking_uri: TrackingUri = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join: auto, HOST:PORT or ray://HOST:PORT.")
    ] = None,
    read_test_again: Annotated[
        bool,
        typer.Option(
            "--read-test-again",
            help="Let the winner of a finished search answer the test split once more. The first "
            "reading stays the one that counts; this one is recorded as forced.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line an event.")] = False,
) -> None:
    """Search a space, or continue where it stands."""
    from rich.console import Console

    from archsearch.display.output import open_display
    from archsearch.display.summary import print_summary
    from archsearch.driver.run import run_search
    from archsearch.search.parsing import parsed_concurrency, parsed_count, parsed_trials
    from archsearch.search.request import SearchRequest

    if quiet and json:
        raise UsageError("--quiet and --json exclude each other")
    request = SearchRequest.checked(
        space=space,
        data=data,
        data_dir=data_dir,
        train_size=train_size,
        image_size=image_size,
        **parsed_trials(trials),
        time_budget_seconds=parsed_duration("--time-budget", time_budget),
        concurrency=parsed_concurrency(concurrency),
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        workers_per_trial=workers_per_trial,
        sync_batch_norm=sync_batch_norm,
        linear_scaling=linear_scaling,
        max_epochs=max_epochs,
        max_params=parsed_count("--max-params", max_params),
        max_macs=max_macs if max_macs == "default" else parsed_count("--max-macs", max_macs),
        retry_memory=retry_memory,
        sampler=sampler,
        scheduler=scheduler,
        random_share=random_share,
        confirm=confirm,
        hang_seconds=hang_seconds,
        seed=seed,
        name=name,
        runs_dir=runs_dir,
        storage=storage,
        database=database,
        tracking_uri=tracking_uri,
        address=address,
    )
    with open_display("json" if json else "quiet" if quiet else "auto") as display:
        result = run_search(request, display, read_test_again=read_test_again)
    if json:
        print(json_module.dumps({"event": "result", **result.as_json()}), flush=True)
    else:
        print_summary(result, request, Console())
    sys.exit(result.exit_code)


if __name__ == "__main__":
    run(app)
