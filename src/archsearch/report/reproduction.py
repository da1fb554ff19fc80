"""Commands that make a search, or what follows from it, again."""

from __future__ import annotations

from pathlib import Path

from archsearch.analysis.recorded_search import Evidence
from archsearch.command_line import command_line
from archsearch.report.parts import Command

# What decides which trials there are and how each is trained, in the order of a command line.
_DECISIVE = (
    "train_size",
    "image_size",
    "seed",
    "trials",
    "max_epochs",
    "max_params",
    "max_macs",
    "random_share",
    "confirm",
    "cpus_per_trial",
    "gpus_per_trial",
    "workers_per_trial",
    "sync_batch_norm",
    "linear_scaling",
    "concurrency",
)


def reproduction_commands(evidence: Evidence) -> tuple[Command, ...]:
    """The search from nothing in a folder of its own, then what reads this one."""
    name = evidence.search.name
    where = _where(evidence)
    commands = [
        Command("Run the same search from nothing, in a folder of its own", _again(evidence))
    ]
    if evidence.state != "running" and not evidence.search.finished:
        commands.append(Command("Continue this search", _continued(evidence)))
    commands += [
        Command("Write this report again", command_line("report", name, *where)),
        Command("All trials as text", command_line("status", name, *where)),
    ]
    if any(trial.outcome == "completed" for trial in evidence.trials):
        commands.append(
            Command("Register the winner as a model", command_line("promote", name, *where))
        )
    return tuple(commands)


def _again(evidence: Evidence) -> str:
    words = _request(evidence)
    return command_line("search", *words, "--name", evidence.search.name, "--runs-dir", "again")


def _continued(evidence: Evidence) -> str:
    words = _request(evidence)
    return command_line("search", *words, "--name", evidence.search.name, *_where(evidence))


def _request(evidence: Evidence) -> list[str]:
    """What was asked for, every choice written out: a later release may have other defaults."""
    words = ["--space", _space(evidence)]
    data = evidence.option("data")
    if isinstance(data, dict) and data.get("name"):
        words += ["--data", str(data["name"])]
    if evidence.option("data_dir"):
        words += ["--data-dir", str(evidence.option("data_dir"))]
    for field in _DECISIVE:
        value = evidence.option(field)
        if value is True:
            words.append("--" + field.replace("_", "-"))
        elif value is not None and value is not False:
            told = f"{value:.12g}" if isinstance(value, float) else str(value)
            words += ["--" + field.replace("_", "-"), told]
    return words


def _space(evidence: Evidence) -> str:
    """A shipped space by its name; a file by the copy that the search has kept of it."""
    asked = str(evidence.option("space") or "")
    is_path = Path(asked).suffix in (".yaml", ".yml") or "/" in asked or "\\" in asked
    return str(evidence.paths.space) if is_path or not asked else asked


def _where(evidence: Evidence) -> list[str]:
    """The options that say where the record is; a server's URL is not recorded."""
    root = evidence.paths.root.parent
    folder = [] if root == Path("runs") else ["--runs-dir", str(root)]
    return folder if evidence.paths.database.is_file() else [*folder, "--database", "URL"]
