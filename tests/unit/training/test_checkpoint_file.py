from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.storage import LocalPath
from archsearch.training.checkpoint_file import (
    MAGIC,
    CheckpointError,
    CheckpointHeader,
    checkpoint_name,
    newest_valid,
    parse_checkpoint_name,
    prune,
    read_header,
    read_payload,
    verify_checkpoint,
    write_checkpoint,
)
from archsearch.training.result import EpochResult


def result(epoch: int, **changes: object) -> EpochResult:
    fields: dict[str, object] = {
        "epoch": epoch,
        "train_loss": 0.1 + 0.2,
        "train_accuracy": 1 / 3,
        "val_loss": 1e-300,
        "val_accuracy": 0.5,
        "learning_rate": 0.1,
        "images": 64,
        "train_seconds": 1.5,
        "val_seconds": 0.25,
        "micro_batch": 32,
    }
    return EpochResult.model_validate(fields | changes)


def publish(
    folder: Path, epoch: int, attempt: int, payload: bytes = b"weights", digest: str = "config"
) -> Path:
    path = folder / checkpoint_name(epoch, attempt)
    history = tuple(result(each) for each in range(1, epoch + 1))
    header = CheckpointHeader(epoch=epoch, attempt=attempt, config_digest=digest, history=history)
    write_checkpoint(LocalPath(path), header, payload)
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 10
    path = publish(tmp_path, 3, 2, payload)
    header = read_header(LocalPath(path))
    assert (header.epoch, header.attempt, header.config_digest) == (3, 2, "config")
    assert header.history == tuple(result(epoch) for epoch in (1, 2, 3))  # floats to the last bit
    assert read_payload(LocalPath(path)) == payload
    assert verify_checkpoint(LocalPath(path)) == header
    assert [each.name for each in tmp_path.iterdir()] == ["e0003-a2.ckpt"]


def test_results_that_are_not_finite_survive(tmp_path: Path) -> None:
    diverged = result(1, val_loss=math.nan, train_loss=math.inf, diverged=True, reason="why")
    header = CheckpointHeader(epoch=1, attempt=0, config_digest="", history=(diverged,))
    write_checkpoint(LocalPath(tmp_path / "e0001-a0.ckpt"), header, b"")
    (back,) = read_header(LocalPath(tmp_path / "e0001-a0.ckpt")).history
    assert math.isnan(back.val_loss)
    assert back.train_loss == math.inf
    assert (back.diverged, back.reason) == (True, "why")


def test_a_history_that_ends_elsewhere_is_refused(tmp_path: Path) -> None:
    header = CheckpointHeader(epoch=2, attempt=0, config_digest="", history=(result(1),))
    with pytest.raises(ValueError, match="`history` must end with `epoch`"):
        write_checkpoint(LocalPath(tmp_path / "e0002-a0.ckpt"), header, b"")


def test_a_full_disk_leaves_the_previous_checkpoint_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, 1, 1)

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        publish(tmp_path, 2, 1)
    assert names(tmp_path) == ["e0001-a1.ckpt"]


def test_truncation_at_any_position_is_seen_and_the_previous_one_used(tmp_path: Path) -> None:
    previous = publish(tmp_path, 1, 1)
    newest = publish(tmp_path, 2, 1)
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        assert_damaged(newest)
        assert_recovers(tmp_path, previous, newest)


def test_a_flipped_bit_at_any_byte_is_seen_and_the_previous_one_used(tmp_path: Path) -> None:
    previous = publish(tmp_path, 1, 1)
    newest = publish(tmp_path, 2, 1)
    whole = newest.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        newest.write_bytes(damaged)
        assert_damaged(newest)
        assert_recovers(tmp_path, previous, newest)


def test_bytes_added_at_the_end_are_seen(tmp_path: Path) -> None:
    path = publish(tmp_path, 1, 1)
    path.write_bytes(path.read_bytes() + b"\0")
    assert_damaged(path)


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_are_never_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, with_magic: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.ckpt"
    path.write_bytes(MAGIC + content if with_magic else content)
    assert_damaged(path)


def assert_damaged(path: Path) -> None:
    with pytest.raises(CheckpointError, match=path.name):
        read_payload(LocalPath(path))
    with pytest.raises(CheckpointError, match=path.name):
        verify_checkpoint(LocalPath(path))


def assert_recovers(folder: Path, expected: Path, damaged: Path) -> None:
    found = newest_valid(LocalPath(folder), {1}, "config")
    assert found.checkpoint
    assert found.checkpoint.path == LocalPath(expected)
    assert found.checkpoint.payload() == b"weights"
    assert len(found.skipped) == 1
    assert str(damaged) in found.skipped[0]


def test_a_missing_file_or_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be opened: No such file"):
        read_header(LocalPath(tmp_path / "e0001-a1.ckpt"))
    found = newest_valid(LocalPath(tmp_path / "nowhere"), {1}, "config")
    assert found.checkpoint is None
    assert found.skipped == ()


def test_the_newest_is_the_highest_epoch_then_the_highest_attempt(tmp_path: Path) -> None:
    publish(tmp_path, 10, 1)
    publish(tmp_path, 9, 3)
    later = publish(tmp_path, 10, 2)
    found = newest_valid(LocalPath(tmp_path), {1, 2, 3}, "config")
    assert found.checkpoint
    assert found.checkpoint.path == LocalPath(later)


def test_attempts_that_were_not_issued_and_other_configurations_are_passed_over(
    tmp_path: Path,
) -> None:
    publish(tmp_path, 5, 9)
    publish(tmp_path, 4, 1, digest="another")
    (tmp_path / checkpoint_name(3, 1)).write_bytes(publish(tmp_path, 2, 1).read_bytes())
    found = newest_valid(LocalPath(tmp_path), {1}, "config")
    assert found.checkpoint
    assert found.checkpoint.path.name == "e0002-a1.ckpt"
    assert [sentence.rpartition(": ")[2] for sentence in found.skipped] == [
        "attempt 9 was never issued",
        "it is of another configuration",
        "its header says epoch 2 of attempt 1",
    ]


def test_pruning_keeps_the_two_newest(tmp_path: Path) -> None:
    for epoch in range(1, 6):
        publish(tmp_path, epoch, 1)
    gone = prune(LocalPath(tmp_path), attempt=1)
    assert sorted(gone) == [
        "e0001-a1.ckpt",
        "e0002-a1.ckpt",
        "e0003-a1.ckpt",
    ]
    assert names(tmp_path) == ["e0004-a1.ckpt", "e0005-a1.ckpt"]


def test_pruning_of_an_outlived_worker_never_touches_its_successors_files(tmp_path: Path) -> None:
    publish(tmp_path, 2, 2)
    for epoch in (1, 2, 3, 4):
        publish(tmp_path, epoch, 1)
    prune(LocalPath(tmp_path), attempt=1)
    assert names(tmp_path) == ["e0002-a2.ckpt", "e0003-a1.ckpt", "e0004-a1.ckpt"]


def test_pruning_of_the_successor_keeps_its_own_files_first(tmp_path: Path) -> None:
    publish(tmp_path, 8, 1)
    publish(tmp_path, 9, 1)
    publish(tmp_path, 3, 2)
    publish(tmp_path, 4, 2)
    prune(LocalPath(tmp_path), attempt=2)
    assert names(tmp_path) == ["e0003-a2.ckpt", "e0004-a2.ckpt"]


def test_pruning_removes_what_killed_writers_left_and_nothing_else(tmp_path: Path) -> None:
    publish(tmp_path, 1, 1)
    for name in (".e0002-a1.ckpt.0a1b2c3d.tmp", ".e0002-a2.ckpt.0a1b2c3d.tmp", "notes.txt"):
        (tmp_path / name).touch()
    prune(LocalPath(tmp_path), attempt=1)
    assert names(tmp_path) == [".e0002-a2.ckpt.0a1b2c3d.tmp", "e0001-a1.ckpt", "notes.txt"]
    assert prune(LocalPath(tmp_path / "nowhere"), attempt=1) == []


def test_pruning_refuses_to_keep_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep=0"):
        prune(LocalPath(tmp_path), attempt=1, keep=0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_file_names_are_parsed_back(epoch: int, attempt: int) -> None:
    assert parse_checkpoint_name(checkpoint_name(epoch, attempt)) == (epoch, attempt)


@pytest.mark.parametrize("name", ["e12-a3.ckpt", "e0012-a3.ckpt.tmp", "xe0012-a3.ckpt", ""])
def test_other_names_are_not_parsed(name: str) -> None:
    assert parse_checkpoint_name(name) is None


def test_names_sort_by_epoch() -> None:
    assert checkpoint_name(12, 3) == "e0012-a3.ckpt"
    assert checkpoint_name(12345, 0) == "e12345-a0.ckpt"
