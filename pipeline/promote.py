"""`python -m pipeline.promote NAME`: the search's model against the champion, with evidence."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.command_line import command_line, this_python
from archsearch.errors import UsageError
from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir, TrackingUri
from pipeline._record import open_record, tracking_uri_of

if TYPE_CHECKING:
    from archsearch.objective import Objective
    from archsearch.promotion.promote import Promotion
    from archsearch.tracking.store import TrackingStore

app = new_app(
    "Register a search's model in MLflow's model registry and hold it against the champion: both "
    "answered the same test images, and the candidate must be the better one by McNemar's test. "
    "Without a champion it must be better than chance. The version is `challenger` while it is "
    "examined; it gets the alias if it passes every gate, and stays challenger, with "
    "validation_status=failed, if not. An evidence card (Markdown and JSON) lies with the version "
    "either way. The test split is read once a model; its answers are kept.\n\n"
    "\b\n"
    "Gates, by --gate NAME=LIMIT, or NAME=none to lift one:\n"
    "  mcnemar=P      p value against the champion, mid-p, two-sided (default 0.05)\n"
    "  chance=P       accuracy above chance at this significance (default 0.05)\n"
    "  gain=D         95 % interval of the gain in accuracy begins here, such as -0.005\n"
    "  accuracy=A     95 % interval of the test accuracy begins here, such as 0.95\n"
    "  latency_ms=T   median time of one image on one thread of this machine\n"
    "  size_mib=S     exported files\n"
    "  params=N       parameters, such as 5M\n"
    "  macs=N         multiply-accumulates an image, such as 50M\n\n"
    "Exit codes: 0 promoted or rolled back, 2 wrong option or no such search, 3 files or tracking "
    "cannot be used, 4 no trial completed, 5 refused.",
    "python -m pipeline.promote SEARCH",
    "python -m pipeline.promote SEARCH --gate latency_ms=5 --gate size_mib=20 --gate params=5M",
    "python -m pipeline.promote SEARCH --trial 7 --gate mcnemar=none --gate gain=-0.005",
    "python -m pipeline.promote SEARCH --rollback",
)


@app.command()
def promote(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The search's name; --rollback --model needs none."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The registered model's name. Default: archsearch-DATA."),
    ] = None,
    alias: Annotated[
        str, typer.Option(help="The alias that the version is to have.")
    ] = "champion",
    gate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LIMIT", help="A gate, see above; may be given several times."),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(min=0, help="Promote this completed trial. Default: the search's winner."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Promote whatever the gates say; tag and card record it."),
    ] = False,
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Give the alias back to the version that had it before."),
    ] = False,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    tracking_uri: TrackingUri = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Promote the model of a search, or take a promotion back."""
    if rollback:
        if gate or force or trial is not None:
            raise UsageError("--rollback goes with neither --gate, --trial nor --force")
        _roll_back(name, model, alias, runs_dir, database, tracking_uri, as_json)
        return
    if name is None:
        raise UsageError("Missing argument 'NAME' (see `promote --help`)")
    from archsearch.promotion.gates import parse_gates
    from archsearch.promotion.promote import PromotionRequest
    from archsearch.promotion.promote import promote as promote_search
    from archsearch.record.paths import RunsFolder
    from archsearch.tracking.store import tracking_store

    request = PromotionRequest(model, alias, tuple(gate or ()), trial, force)
    parse_gates(request.gates)  # before anything is opened
    runs = RunsFolder(runs_dir)
    with open_record(name, runs_dir, database) as (record, search):
        store = tracking_store(runs, tracking_uri_of(search, tracking_uri))
        promotion = promote_search(record, search, runs, store, request)
    told = _told(promotion, store)
    if as_json:
        print(json.dumps(told, ensure_ascii=False), flush=True)
    elif promotion.is_promoted:
        objective = promotion.found.candidate.trial.objective
        options = _options(runs_dir, store)
        print(_sentences(told, objective, options, has_user=store.has_user))
    if not promotion.is_promoted:
        raise promotion.refusal()


def _roll_back(
    name: str | None,
    model: str | None,
    alias: str,
    runs_dir: Path,
    database: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    from archsearch.promotion.promote import roll_back
    from archsearch.record.paths import RunsFolder
    from archsearch.tracking.store import tracking_store

    if name is not None:
        with open_record(name, runs_dir, database) as (_, search):
            if model is None:
                model = f"archsearch-{search.settings.data.name}"
            tracking_uri = tracking_uri_of(search, tracking_uri)
    if model is None:
        raise UsageError("--rollback: name the search, or the registered model by --model")
    done = roll_back(tracking_store(RunsFolder(runs_dir), tracking_uri), model, alias)
    if as_json:
        print(json.dumps(vars(done)))
    else:
        print(
            f"{done.alias} of {done.model} is version {done.restored} again (it was version "
            f"{done.withdrawn}); the tags of both versions tell it"
        )


def _told(promotion: Promotion, store: TrackingStore) -> dict[str, Any]:
    from archsearch.training.standalone import INPUT

    found = promotion.found
    trial = found.candidate.trial
    return {
        "promoted": promotion.is_promoted,
        "model": found.model,
        "version": promotion.version,
        "alias": found.alias,
        "uri": promotion.uri,
        "previous_version": promotion.previous,
        "search": found.candidate.search.name,
        "trial": trial.number,
        "name": trial.name,
        "chosen": found.choice.told,
        "caution": found.choice.caution,
        trial.objective.metric: trial.value,
        "test_accuracy": found.reading.accuracy,
        "num_test": len(found.reading.predictions),
        "validation_status": found.status,
        "overridden": list(found.overridden),
        "gates": promotion.card["gates"],
        "champion_comparison": promotion.card["champion_comparison"],
        "input": INPUT,
        "largest_logit_difference": found.challenger.difference,
        "card": promotion.card_place,
        "tracking_uri": store.shown_uri,
    }


def _sentences(
    told: dict[str, Any], objective: Objective, options: list[str], *, has_user: bool
) -> str:
    before = told["previous_version"]
    alias = f"{told['alias']} (before: version {before})" if before else told["alias"]
    where = f"MLFLOW_TRACKING_URI={shlex.quote(told['tracking_uri'])}"
    width = max(len(g["name"]) for g in told["gates"]) if told["gates"] else 0
    gates = "\n".join(
        f"  {g['name']:{width}}  {g['verdict']:14}  {g['told']}" for g in told["gates"]
    )
    forced = f"\n  forced past          {', '.join(told['overridden'])}" * bool(told["overridden"])
    caution = f"\n  caution              {told['caution']}" if told["caution"] else ""
    return f"""\
{told["model"]} version {told["version"]} is trial {told["trial"]} ({told["name"]}) of \
{told["search"]}
  chosen               {told["chosen"]}{caution}
  test accuracy        {told["test_accuracy"]:.4f} on {told["num_test"]} images
  {objective.name:19}  {objective.format(told[objective.metric])}
  alias                {alias}{forced}
  input                {told["input"]}
  evidence             {told["card"].removeprefix("file://")}

Gates:
{gates or "  none: all were lifted"}

Next:
  serve      {_path()}{where} {this_python()} -m mlflow models serve -m {told["uri"]} \
--env-manager local
  predict    {command_line("predict", told["uri"], *options, "IMAGE.png")}
  load       mlflow.pyfunc.load_model({told["uri"]!r}), with {where}{_SIGN_IN * has_user}"""


_SIGN_IN = """
  sign in    by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, for all of these"""


def _options(runs_dir: Path, store: TrackingStore) -> list[str]:
    """What a command must be given to find the same registry, but for secrets."""
    folder = [] if runs_dir == Path("runs") else ["--runs-dir", str(runs_dir)]
    return [*folder, *([] if store.recorded is None else ["--tracking-uri", store.shown_uri])]


def _path() -> str:
    """What is to be set before `mlflow models serve`, which starts uvicorn by its name.

    Empty in an environment that is activated.
    """
    programs = Path(sys.executable).absolute().parent
    found = shutil.which("uvicorn")
    if found is not None and Path(found).absolute().parent == programs:
        return ""
    return f'PATH={shlex.quote(str(programs))}:"$PATH" '


if __name__ == "__main__":
    run(app)
