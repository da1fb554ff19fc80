"""What `pipeline.export` and `pipeline.predict` are asked for: whose network it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.errors import UsageError
from pipeline._input import input_spec_of

if TYPE_CHECKING:
    from archsearch.training.exportable import Exportable


def find_exportable(
    model: str,
    runs_dir: Path,
    database: str | None,
    seed: int,
    asked: dict[str, int | None],
    tracking_uri: str | None = None,
) -> tuple[Exportable, str]:
    """What `model` stands for, and what its file is called.

    Args:
        model: A search, SEARCH/NUMBER, a folder of a training, `models:/NAME@ALIAS` or a name.
        runs_dir: Folder of all searches.
        database: URL of the record, if it is not in the search's folder.
        seed: Of a published name's new weights.
        asked: The input that options ask for, by its fields.
        tracking_uri: Where registered models are looked up; by default in the runs folder.

    Raises:
        UsageError: It stands for nothing, or options do not go with what it is.
    """
    from archsearch.record.paths import RunsFolder
    from archsearch.training.single_folder import is_training

    numbered = re.fullmatch(r"([^/]+)/(\d+)", model)
    is_folder = is_training(Path(model))
    is_registered = model.startswith("models:")
    is_search = not is_registered and (
        numbered is not None or model in RunsFolder(runs_dir).names()
    )
    given = [name for name, value in asked.items() if value is not None]
    if (is_folder or is_search or is_registered) and given:
        raise UsageError(
            "--classes, --in-channels and --image-size are for published names; a trained model "
            "has the input that it was trained on"
        )
    if is_registered:
        from archsearch.registry.registered_model import registered_exportable
        from archsearch.tracking.store import tracking_store

        return registered_exportable(tracking_store(RunsFolder(runs_dir), tracking_uri), model)
    if is_folder:
        return _of_training(Path(model))
    if numbered is not None:
        return _of_trial(numbered[1], int(numbered[2]), runs_dir, database)
    if is_search or (database is not None and not _is_network(model)):
        return _of_trial(model, None, runs_dir, database)
    return _of_name(model, runs_dir, seed, asked)


def _of_training(folder: Path) -> tuple[Exportable, str]:
    from archsearch.training.exportable import trained_model
    from archsearch.training.single_folder import read_training

    trained = read_training(folder)
    facts = {
        "weights": f"trained alone, {len(trained.history)} of {trained.config.max_epochs} epochs",
        "val_accuracy": trained.val_accuracy,
        "seed": trained.config.seed,
        "checkpoint_sha256": trained.checkpoint.header.payload_sha256,
    }
    exportable = trained_model(trained.config.architecture, trained.network(), trained.data, facts)
    return exportable, f"{trained.config.name}-{trained.data.name}"


def _of_trial(
    search: str, number: int | None, runs_dir: Path, database: str | None
) -> tuple[Exportable, str]:
    from archsearch.analysis.winner import model_number
    from archsearch.record.paths import RunsFolder
    from archsearch.record.reader import read_trials
    from archsearch.record.trained import trained_trial
    from archsearch.training.exportable import trained_model
    from pipeline._record import open_record

    with open_record(search, runs_dir, database, read_only=True) as (record, row):
        if number is None:
            number = model_number(read_trials(record, row.id))
        found = trained_trial(record, row, RunsFolder(runs_dir).of(row), number)
    header, trial = found.checkpoint.header, found.trial
    facts = {
        "weights": f"trial {trial.number} of search {search} ({trial.outcome or 'unfinished'}), "
        f"{header.epoch} of {found.config.max_epochs} epochs",
        "search": row.uuid,
        "trial": trial.number,
        "val_accuracy": header.history[-1].val_accuracy if header.history else None,
        "seed": found.config.seed,
        "checkpoint_sha256": header.payload_sha256,
    }
    exportable = trained_model(found.config.architecture, found.network(), found.data, facts)
    return exportable, f"{search}-{trial.number:04d}-{found.config.name}"


def _of_name(
    name: str, runs_dir: Path, seed: int, asked: dict[str, int | None]
) -> tuple[Exportable, str]:
    from archsearch.models import ArchitectureError
    from archsearch.record.paths import RunsFolder
    from archsearch.spaces.catalogue import default_input, parse_name
    from archsearch.training.exportable import fresh_model

    try:
        spec = parse_name(name)
    except ArchitectureError as error:
        searches = RunsFolder(runs_dir).names()
        hint = f"; searches in {runs_dir}: {', '.join(searches[:10])}" if searches else ""
        raise UsageError(f"{error}{hint}") from None
    input_spec = input_spec_of(default_input(name), asked)
    return fresh_model(spec, input_spec, seed), f"{spec.name}-seed{seed}"


def _is_network(name: str) -> bool:
    from archsearch.models import ArchitectureError
    from archsearch.spaces.catalogue import parse_name

    try:
        parse_name(name)
    except ArchitectureError:
        return False
    return True
