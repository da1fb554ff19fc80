"""The doctor sees a GPU that torch cannot use: searches would silently train without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archsearch.search import doctor
from archsearch.search.finding import Finding


def told_of_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> Finding:
    """What it says of a driver that has two GPUs, where torch sees some."""
    for number in range(2):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    monkeypatch.setattr(doctor, "_NVIDIA_GPUS", tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(seen))
    monkeypatch.setattr(torch.cuda, "get_device_name", seen.__getitem__)
    (told,) = (each for each in doctor.examine(tmp_path / "runs") if each.about == "GPUs")
    return told


def test_a_gpu_that_torch_does_not_see_is_to_be_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = told_of_gpus(tmp_path, monkeypatch, [])
    assert told.told.startswith("the driver has 2, torch")
    assert told.advice is not None
    assert "CUDA_VISIBLE_DEVICES" in told.advice


def test_gpus_that_torch_sees_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = told_of_gpus(tmp_path, monkeypatch, ["NVIDIA H100", "NVIDIA L4"])
    assert told == Finding("GPUs", "NVIDIA H100, NVIDIA L4")
