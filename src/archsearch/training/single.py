"""One network trained by itself, outside any search: a folder that the same call continues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archsearch.data import DataSpec, PreparedData, is_own, load_resident, prepare
from archsearch.data.sources import data_set_named
from archsearch.errors import ArchsearchError, UnfitError, UsageError
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.result import EpochResult
from archsearch.training.single_folder import (
    TrainedNetwork,
    TrainingNote,
    claim,
    found_in,
    held,
    publish,
    read_training,
)


class DivergedError(ArchsearchError):
    """A loss, a weight or a statistic was not finite; the epochs before are kept."""


def train_published(
    name: str,
    data: str | DataSpec = "digits",
    *,
    folder: Path,
    epochs: int = 20,
    recipe: Recipe | None = None,
    seed: int = 0,
    cache_dir: Path = Path("runs/data"),
    data_dir: Path | None = None,
    **options: Any,
) -> TrainedNetwork:
    """Train a network by its published name, for notebooks.

    Args:
        name: Such as `WRN-28-10`.
        data: A data set's name, or with a training size or an image size.
        folder: Of this one training, see `train_in`.
        epochs: The schedule ends there.
        recipe: How it is trained.
        seed: Of weights, order of images, augmentation and dropout.
        cache_dir: Where prepared data is kept.
        data_dir: Where the data set's own files are, if they are not to be found or downloaded.
        **options: `device`, `on_found`, `on_epoch`, as for `train_in`.

    Raises:
        UsageError: A name or number is wrong, the images are too small, or the folder is
            another training's.
        UnfitError: The data or the folder cannot be used.
        DivergedError: Training diverged.
    """
    spec = DataSpec(name=data) if isinstance(data, str) else data
    config, prepared = prepared_training(
        name,
        spec,
        epochs=epochs,
        recipe=recipe or Recipe(),
        seed=seed,
        cache_dir=cache_dir,
        data_dir=data_dir,
    )
    return train_in(folder, config, prepared, **options)


def prepared_training(
    name: str,
    data: DataSpec,
    *,
    epochs: int,
    recipe: Recipe,
    seed: int,
    cache_dir: Path,
    data_dir: Path | None,
) -> tuple[TrialConfig, PreparedData]:
    """The configuration of a training, and its data; wrong numbers are told before data is made.

    Raises:
        UsageError: The name is none, a number is out of range, or the images are too small.
        UnfitError: The data cannot be used.
    """
    training: dict[str, Any] = {"epochs": epochs, "recipe": recipe, "seed": seed}
    if is_own(data.name):  # what its images are is known when they are read
        prepared = prepare(data, cache_dir=cache_dir, data_dir=data_dir)
        return _checked_config(name, prepared.input_spec, **training), prepared
    config = checked_config(name, data, **training)
    return config, prepare(data, cache_dir=cache_dir, data_dir=data_dir)


def checked_config(
    name: str, data: DataSpec, *, epochs: int, recipe: Recipe, seed: int
) -> TrialConfig:
    """The configuration of a training on a data set known by name, before it is looked for.

    Raises:
        UsageError: The name is none, a number is out of range, or the images are too small.
    """
    source = data_set_named(data.name)
    channels, side, _ = source.shape
    input_spec = InputSpec(
        in_channels=channels,
        image_size=data.image_size or side,
        num_classes=len(source.class_names),
    )
    return _checked_config(name, input_spec, epochs=epochs, recipe=recipe, seed=seed)


def _checked_config(
    name: str, input_spec: InputSpec, *, epochs: int, recipe: Recipe, seed: int
) -> TrialConfig:
    architecture = parse_name(name)
    architecture.check_input(input_spec)
    if recipe.batch_size < 2:
        raise UsageError(
            "`batch_size >= 2` must hold: BatchNorm normalises by the other images of a batch"
        )
    try:
        return TrialConfig(
            architecture=architecture,
            recipe=recipe,
            input=input_spec,
            max_epochs=epochs,
            seed=seed,
        )
    except ValidationError as error:
        problems = (f"{e['loc'][0]}: {e['msg']}, got {e['input']}" for e in error.errors())
        raise UsageError("; ".join(problems)) from None


def train_in(
    folder: Path,
    config: TrialConfig,
    data: PreparedData,
    *,
    device: str | None = None,
    on_found: Callable[[TrainedNetwork | None, tuple[str, ...]], None] = lambda *found: None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
) -> TrainedNetwork:
    """Train what is left of a configuration, epoch by epoch, and publish a checkpoint after each.

    Interrupted at any moment, the same call continues after the last finished epoch and comes to
    the same numbers. A finished training is returned as it is.

    Args:
        folder: Of this one training; made if need be.
        config: What is trained.
        data: What it is trained on.
        device: As torch names it; None takes a GPU where there is one.
        on_found: Told what is there already, and of each newer file why it cannot be used.
        on_epoch: Told of each epoch when its checkpoint is there.

    Raises:
        UsageError: The folder is another training's, or there is no such kind of device.
        UnfitError: The device or the folder cannot be used, another process trains in it, or
            memory ran out.
        DivergedError: Training diverged.
    """
    from archsearch.training.loop import Training

    device = _checked_device(device)
    note = TrainingNote(config=config, data=data)
    with held(folder):
        claim(folder, note)
        found, skipped = found_in(folder, note)
        on_found(found, skipped)
        if found is not None and found.is_finished:
            return found
        training = Training(config, data, load_resident(data), device=device)
        if found is not None:
            training.load_state_bytes(found.checkpoint.payload())
        history = () if found is None else found.history
        for result in training.epochs():
            if result.diverged:
                kept = f"epoch {history[-1].epoch} is kept in {folder}; " if history else ""
                raise DivergedError(
                    f"{config.name} diverged in epoch {result.epoch}: {result.reason}; {kept}"
                    "try a smaller --learning-rate"
                )
            history = (*history, result)
            publish(folder, config, history, training.state_bytes())
            on_epoch(result)
    return read_training(folder)


def _checked_device(name: str | None) -> str:
    """The device of that name, which answers; by default a GPU where there is one."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name!r}: give cpu, cuda or cuda:NUMBER") from None
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UnfitError(f"--device {name} cannot be used here: {reason}") from error
    return name
