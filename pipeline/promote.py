"""`python -m pipeline.promote NAME`: the search's best model becomes a registered model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.command_line import this_python
from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir, TrackingUri
from pipeline._record import SearchName, open_record, tracking_uri_of

if TYPE_CHECKING:
    from archsearch.record.database import Database as Record
    from archsearch.record.paths import RunsFolder
    from archsearch.record.trial import SearchRow
    from archsearch.tracking.store import TrackingStore

app = new_app(
    "Register the best fully trained model of a search in MLflow's model registry, with its "
    "lineage, and give it an alias. Its answers on the test split are read once and kept. Exit "
    "codes: 0 promoted, 2 no such search, 3 files or tracking cannot be used, 4 no trial "
    "completed, 5 refused (such as: it has the alias already).",
    "python -m pipeline.promote first",
    "python -m pipeline.promote first --model digits --alias candidate",
)


@app.command()
def promote(
    name: SearchName,
    model: Annotated[
        str | None,
        typer.Option(help="The registered model's name. Default: archsearch-DATA."),
    ] = None,
    alias: Annotated[str, typer.Option(help="The alias that the version is given.")] = "champion",
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    tracking_uri: TrackingUri = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Promote the best model of a search."""
    from archsearch.record.paths import RunsFolder
    from archsearch.tracking.store import tracking_store

    runs = RunsFolder(runs_dir)
    with open_record(name, runs_dir, database) as (record, search):
        store = tracking_store(runs, tracking_uri_of(search, tracking_uri))
        report = _promoted(record, search, runs, store, model, alias)
    print(json.dumps(report) if as_json else _sentences(report))


def _promoted(
    record: Record,
    search: SearchRow,
    runs: RunsFolder,
    store: TrackingStore,
    model: str | None,
    alias: str,
) -> dict[str, Any]:
    from archsearch.tracking.candidate import find_candidate, read_test_split
    from archsearch.tracking.registry import check_names, open_registry
    from archsearch.training.standalone import INPUT

    check_names("archsearch" if model is None else model, alias)
    candidate = find_candidate(record, search, runs)
    model = model or f"archsearch-{candidate.data.name}"
    with open_registry(record, search, store, _lock(runs, store, model)) as registry:
        registry.refuse_repetition(candidate, registry.holder(model, alias))
        network = candidate.model()
        reading = read_test_split(record, candidate, network)
        registered = registry.register(candidate, network, reading, model=model, alias=alias)
    return {
        "model": registered.model,
        "version": registered.version,
        "alias": registered.alias,
        "uri": registered.uri,
        "previous_version": registered.previous,
        "search": search.name,
        "trial": candidate.trial.number,
        "name": candidate.trial.name,
        "val_accuracy": candidate.trial.val_accuracy,
        "test_accuracy": reading.accuracy,
        "num_test": len(reading.predictions),
        "input": INPUT,
        "largest_logit_difference": registered.difference,
        "tracking_uri": store.shown_uri,
    }


def _lock(runs: RunsFolder, store: TrackingStore, model: str) -> Path:
    """Promotions of one model in one registry, from one folder of runs, wait for each other."""
    digest = hashlib.sha256(f"{store.uri} {model}".encode()).hexdigest()[:16]
    return runs.mlflow / f".promote-{digest}.lock"


def _sentences(report: dict[str, Any]) -> str:
    before = report["previous_version"]
    alias = f"{report['alias']} (before: version {before})" if before else report["alias"]
    where = f"MLFLOW_TRACKING_URI={report['tracking_uri']}"
    return f"""\
{report["model"]} version {report["version"]} is trial {report["trial"]} ({report["name"]}) of \
{report["search"]}
  test accuracy        {report["test_accuracy"]:.4f} on {report["num_test"]} images
  validation accuracy  {report["val_accuracy"]:.4f}
  alias                {alias}
  input                {report["input"]}

Next:
  serve  {where} {this_python()} -m mlflow models serve -m {report["uri"]} --env-manager local
  load   mlflow.pyfunc.load_model({report["uri"]!r}), with {where}"""


if __name__ == "__main__":
    run(app)
