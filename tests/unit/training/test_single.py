"""One network by itself: the same call continues, and comes to the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import filelock
import pytest
import torch

from archsearch.data import DataSpec, PreparedData, load_resident
from archsearch.errors import UnfitError, UsageError
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.predict import predict
from archsearch.training.result import EpochResult
from archsearch.training.single import DivergedError, checked_config, train_in, train_published
from archsearch.training.single_folder import is_training, read_training

NAME = "WRN-7-2-l=1"


class KilledError(Exception):
    """Ends a training where a signal would."""


@pytest.fixture
def config(few_digits: PreparedData) -> TrialConfig:
    spec = DataSpec(name="digits", train_size=70)
    return checked_config(NAME, spec, epochs=3, recipe=Recipe(batch_size=32), seed=1)


def numbers(history: tuple[EpochResult, ...]) -> list[tuple[Any, ...]]:
    """What must not depend on interruptions: everything but times."""
    return [(r.epoch, r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy) for r in history]


def kill(result: EpochResult) -> None:
    raise KilledError


def test_interrupted_or_not_the_numbers_are_the_same(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    whole = train_in(tmp_path / "whole", config, few_digits)
    told: list[EpochResult] = []
    for _ in range(2):
        with pytest.raises(KilledError):
            train_in(tmp_path / "cut", config, few_digits, on_epoch=kill)
    found: list[int] = []
    cut = train_in(
        tmp_path / "cut",
        config,
        few_digits,
        on_found=lambda before, skipped: found.append(len(before.history) if before else 0),
        on_epoch=told.append,
    )
    assert numbers(cut.history) == numbers(whole.history)
    assert [r.epoch for r in cut.history] == [1, 2, 3]
    assert (found, [r.epoch for r in told]) == ([2], [3])


def test_a_finished_training_is_not_trained_again(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    train_in(tmp_path, config, few_digits)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.ckpt")}
    again = train_in(tmp_path, config, few_digits, on_epoch=kill)
    assert again.is_finished
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.ckpt")}
    assert sorted(path.name for path in before) == ["e0002-a1.ckpt", "e0003-a1.ckpt"]


def test_the_network_that_is_kept_is_the_one_that_was_validated(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    trained = train_in(tmp_path, config, few_digits, device="cpu")
    val = load_resident(few_digits).val
    logits = predict(trained.network(), val, mean=few_digits.mean, std=few_digits.std)
    accuracy = float((logits.argmax(1) == val.labels).double().mean())
    # Validation may have run in bfloat16, which can turn single images.
    assert accuracy == pytest.approx(trained.val_accuracy, abs=0.03)
    assert read_training(tmp_path).val_accuracy == trained.val_accuracy


def test_a_damaged_checkpoint_is_passed_over_and_told(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    whole = train_in(tmp_path, config, few_digits)
    whole.checkpoint.path.write(b"half of")
    reasons: list[str] = []
    again = train_in(
        tmp_path, config, few_digits, on_found=lambda _, skipped: reasons.extend(skipped)
    )
    assert numbers(again.history) == numbers(whole.history)
    assert len(reasons) == 1
    assert "e0003-a1.ckpt" in reasons[0]


def test_a_folder_is_one_training_s_alone(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    train_in(tmp_path, config, few_digits)
    other = config.model_copy(
        update={"max_epochs": 4, "recipe": Recipe(batch_size=32, learning_rate=0.2)}
    )
    with pytest.raises(UsageError, match=r"max_epochs was 3, now 4") as refused:
        train_in(tmp_path, other, few_digits)
    assert "learning_rate was 0.1, now 0.2" in str(refused.value)
    fewer = few_digits.model_copy(update={"num_train": 60, "train_size": 60})
    with pytest.raises(UsageError, match="train_size was 70, now 60"):
        train_in(tmp_path, config, fewer)
    moved = few_digits.model_copy(update={"path": "/elsewhere.arrow"})
    assert train_in(tmp_path, config, moved).is_finished


def test_two_processes_do_not_train_in_one_folder(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    with (
        filelock.FileLock(tmp_path / ".lock"),
        pytest.raises(UnfitError, match="another process trains"),
    ):
        train_in(tmp_path, config, few_digits)


def test_divergence_is_told_and_what_was_before_is_kept(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    wild = config.model_copy(
        update={"recipe": Recipe(batch_size=32, learning_rate=100, weight_decay=1)}
    )
    with pytest.raises(DivergedError, match=r"diverged in epoch \d: .*--learning-rate"):
        train_in(tmp_path, wild.model_copy(update={"max_epochs": 60}), few_digits)
    assert not torch.is_inference_mode_enabled()


def test_a_folder_without_a_training_or_an_epoch_is_told(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    assert not is_training(tmp_path)
    with pytest.raises(UnfitError, match=r"no training\.json"):
        read_training(tmp_path)
    train_in(tmp_path, config, few_digits)
    for path in tmp_path.glob("*.ckpt"):
        path.unlink()
    assert is_training(tmp_path)
    with pytest.raises(UnfitError, match="no epoch was finished"):
        read_training(tmp_path)
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(UnfitError, match="cannot be read"):
        read_training(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnfitError, match="cannot be written"):
        train_in(tmp_path / "file" / "folder", config, few_digits)


def test_a_device_that_is_not_there_is_told(
    tmp_path: Path, config: TrialConfig, few_digits: PreparedData
) -> None:
    with pytest.raises(UsageError, match="--device 'warp': give cpu, cuda or cuda:NUMBER"):
        train_in(tmp_path / "new", config, few_digits, device="warp")
    with pytest.raises(UnfitError, match="--device cuda:99 cannot be used"):
        train_in(tmp_path / "new", config, few_digits, device="cuda:99")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("WRN-28-01x", "digits", "did you mean .*WRN-28-10"),
        ("ResNet-50", "digits", r"`image_size >= 32` must hold"),
    ],
)
def test_what_a_name_tells_is_refused_before_data_is_looked_for(
    tmp_path: Path, name: str, data: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train_published(name, data, folder=tmp_path, data_dir=tmp_path / "nowhere")
    assert not any(tmp_path.iterdir())


def test_numbers_out_of_range_are_told_together() -> None:
    with pytest.raises(UsageError, match=r"max_epochs: .*got 0; seed: .*got -1"):
        checked_config(NAME, DataSpec(name="digits"), epochs=0, recipe=Recipe(), seed=-1)


def test_a_notebook_s_call_trains_by_name(tmp_path: Path, cache_dir: Path) -> None:
    trained = train_published(
        NAME,
        DataSpec(name="digits", train_size=70),
        folder=tmp_path,
        epochs=1,
        recipe=Recipe(batch_size=32),
        cache_dir=cache_dir,
    )
    assert (trained.config.name, len(trained.history)) == (NAME, 1)
