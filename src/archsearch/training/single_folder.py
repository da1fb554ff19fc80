"""The folder of one training outside any search: whose it is, who writes, how far it has come.

It holds `training.json`, which says what is trained on what, and the two newest checkpoints,
`eNNNN-a1.ckpt`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import filelock
from pydantic import ValidationError

from archsearch.data import PreparedData
from archsearch.errors import UnfitError, UsageError
from archsearch.files import write_atomic
from archsearch.schema import Frozen
from archsearch.spaces.trial_config import TrialConfig
from archsearch.storage import LocalPath
from archsearch.training.checkpoint_file import (
    Checkpoint,
    CheckpointHeader,
    checkpoint_name,
    newest_valid,
    prune,
    write_checkpoint,
)
from archsearch.training.result import EpochResult

if TYPE_CHECKING:
    from torch import nn

_ATTEMPT = 1
"""A single training has one writer at a time, so its files need no attempts."""


class TrainingNote(Frozen):
    """What `training.json` says."""

    format: Literal[1] = 1
    config: TrialConfig
    data: PreparedData


@dataclass(frozen=True)
class TrainedNetwork:
    """A training as far as it has come; at least one epoch."""

    config: TrialConfig
    data: PreparedData
    checkpoint: Checkpoint

    @property
    def history(self) -> tuple[EpochResult, ...]:
        """The results of all epochs, those of earlier calls included."""
        return self.checkpoint.header.history

    @property
    def val_accuracy(self) -> float:
        """Of the averaged network on the validation split, after the last epoch."""
        return self.history[-1].val_accuracy

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are trained."""
        return len(self.history) == self.config.max_epochs

    def network(self) -> nn.Module:
        """The averaged network, on the processor, in evaluation mode."""
        from archsearch.training.state import load_averaged_model

        return load_averaged_model(self.config, self.checkpoint.payload())


def is_training(folder: Path) -> bool:
    """Whether a folder is one of a single training."""
    return _note_path(folder).is_file()


def read_training(folder: Path) -> TrainedNetwork:
    """A training as far as it has come.

    Raises:
        UnfitError: The folder holds none, or no usable checkpoint.
    """
    note = _read_note(folder)
    if note is None:
        raise UnfitError(f"{folder} holds no training: there is no training.json")
    found, skipped = found_in(folder, note)
    if found is None:
        told = "; ".join(skipped) or "no epoch was finished"
        raise UnfitError(f"{folder} holds no checkpoint that can be used: {told}")
    return found


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone.

    Raises:
        UnfitError: It cannot be written, or another process has it.
    """
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise UnfitError(f"another process trains in {folder}: wait, or choose another") from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def claim(folder: Path, note: TrainingNote) -> None:
    """Say whose folder it is.

    Raises:
        UsageError: It is another training's.
        UnfitError: It cannot be read or written.
    """
    known = _read_note(folder)
    if known is None:
        try:
            write_atomic(_note_path(folder), note.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise _unwritable(folder, error) from error
        return
    differences = [*_differences(known.config, note.config), *_differences(known.data, note.data)]
    if differences:
        raise UsageError(
            f"{folder} holds another training: {'; '.join(differences)}. Continue it with what it "
            "had, or choose another folder"
        )


def found_in(folder: Path, note: TrainingNote) -> tuple[TrainedNetwork | None, tuple[str, ...]]:
    """The training as far as it has come, if at all; and why newer files cannot be used."""
    recovery = newest_valid(LocalPath(folder), [_ATTEMPT], note.config.seeded_digest)
    if recovery.checkpoint is None:
        return None, recovery.skipped
    return TrainedNetwork(note.config, note.data, recovery.checkpoint), recovery.skipped


def publish(
    folder: Path, config: TrialConfig, history: tuple[EpochResult, ...], state: bytes
) -> None:
    """Write the checkpoint of the last epoch of `history`, keep it and the one before."""
    epoch = history[-1].epoch
    header = CheckpointHeader(
        epoch=epoch, attempt=_ATTEMPT, config_digest=config.seeded_digest, history=history
    )
    try:
        write_checkpoint(LocalPath(folder) / checkpoint_name(epoch, _ATTEMPT), header, state)
    except OSError as error:
        raise _unwritable(folder, error) from error
    prune(LocalPath(folder), _ATTEMPT)


def _note_path(folder: Path) -> Path:
    return folder / "training.json"


def _read_note(folder: Path) -> TrainingNote | None:
    path = _note_path(folder)
    try:
        return TrainingNote.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UnfitError(f"{path}: cannot be read: {error}") from error


def _differences(known: Frozen, asked: Frozen) -> list[str]:
    """`epochs was 10, now 20` for every field that differs; a data file may have moved."""
    before, now = _leaves(known), _leaves(asked)
    return [
        f"{name} was {before.get(name)}, now {now.get(name)}"
        for name in {**before, **now}
        if before.get(name) != now.get(name) and name != "path"
    ]


def _leaves(model: Frozen) -> dict[str, Any]:
    told = model.model_dump(mode="json")
    nested = {name: value for name, value in told.items() if isinstance(value, dict)}
    leaves = {name: value for name, value in told.items() if name not in nested}
    for inner in nested.values():
        leaves |= inner
    return leaves


def _unwritable(folder: Path, error: OSError) -> UnfitError:
    return UnfitError(f"{folder}: cannot be written: {error.strerror or error}")
