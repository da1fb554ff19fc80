"""Commands that make a search, or what follows from it, again."""

from __future__ import annotations

from pathlib import Path

from archsearch.analysis.recorded_search import RecordedSearch
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
    "sampler",
    "scheduler",
    "random_share",
    "confirm",
    "cpus_per_trial",
    "gpus_per_trial",
    "workers_per_trial",
    "sync_batch_norm",
    "linear_scaling",
    "concurrency",
)


def reproduction_commands(recorded: RecordedSearch) -> tuple[Command, ...]:
    """The search from nothing in a folder of its own, then what reads this one."""
    name = recorded.search.name
    where = _where(recorded)
    commands = [
        Command("Run the same search from nothing, in a folder of its own", _again(recorded))
    ]
    if recorded.state != "running" and not recorded.search.finished:
        commands.append(Command("Continue this search", _continued(recorded)))
    commands += [
        Command("Write this report again", command_line("report", name, *where)),
        Command("All trials as text", command_line("status", name, *where)),
    ]
    if any(trial.outcome == "completed" for trial in recorded.trials):
        commands.append(
            Command("Register the winner as a model", command_line("promote", name, *where))
        )
    return tuple(commands)


def _again(recorded: RecordedSearch) -> str:
    words = _request(recorded)
    return command_line("search", *words, "--name", recorded.search.name, "--runs-dir", "again")


def _continued(recorded: RecordedSearch) -> str:
    words = _request(recorded)
    return command_line("search", *words, "--name", recorded.search.name, *_where(recorded))


def _request(recorded: RecordedSearch) -> list[str]:
    """What was asked for, every choice written out: a later release may have other defaults."""
    words = ["--space", _space(recorded)]
    settings = recorded.search.settings
    # Data of one's own has another name than the reference that finds it.
    words += ["--data", settings.data_reference or settings.data.name]
    if settings.data_dir:
        words += ["--data-dir", settings.data_dir]
    for field in _DECISIVE:
        value = getattr(settings, field)
        if value is True:
            words.append("--" + field.replace("_", "-"))
        elif value is not None and value is not False:
            told = f"{value:.12g}" if isinstance(value, float) else str(value)
            words += ["--" + field.replace("_", "-"), told]
    return words


def _space(recorded: RecordedSearch) -> str:
    """A shipped space by its name; a file by the copy that the search has kept of it."""
    asked = recorded.search.settings.space or ""
    is_path = Path(asked).suffix in (".yaml", ".yml") or "/" in asked or "\\" in asked
    return str(recorded.paths.space) if is_path or not asked else asked


def _where(recorded: RecordedSearch) -> list[str]:
    """The options that say where the record is; a server's URL is not recorded."""
    root = recorded.paths.root.parent
    folder = [] if root == Path("runs") else ["--runs-dir", str(root)]
    return folder if recorded.paths.database.is_file() else [*folder, "--database", "URL"]
