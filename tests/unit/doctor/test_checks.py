"""The doctor sees a GPU that torch cannot use: searches would silently train without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archsearch.doctor import checks as doctor
from archsearch.doctor.check_result import CheckResult

NONE = "none: small variants only, by a default MAC cap"


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `/dev` of a machine whose driver has three GPUs, of which this container has two."""
    driver, devices = tmp_path / "driver", tmp_path / "dev"
    for number in range(3):
        (driver / f"0000:0{number}:00.0").mkdir(parents=True)
    devices.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (devices / name).touch()
    monkeypatch.setattr(doctor, "_NVIDIA_GPUS", driver)
    monkeypatch.setattr(doctor, "_DEVICES", devices)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return devices


def told_of_gpus(folder: Path) -> CheckResult:
    (told,) = (each for each in doctor.examine(folder / "runs") if each.about == "GPUs")
    return told


def test_a_gpu_that_torch_does_not_see_is_to_be_fixed(devices: Path, tmp_path: Path) -> None:
    told = told_of_gpus(tmp_path)
    assert told.told.startswith("the driver has 2, torch")
    assert told.advice is not None
    assert "CUDA_VISIBLE_DEVICES" in told.advice


@pytest.mark.parametrize("wanted", ["0", "0,1", "5", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"])
def test_a_gpu_that_is_wanted_and_not_seen_is_to_be_fixed(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wanted)
    assert told_of_gpus(tmp_path).advice is not None


@pytest.mark.parametrize("hiding", ["", "-1", "NoDevFiles"])
def test_gpus_that_somebody_hides_are_no_fault(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hiding: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hiding)
    told = told_of_gpus(tmp_path)
    assert told == CheckResult("GPUs", f"{NONE}; CUDA_VISIBLE_DEVICES hides 2")


def test_a_container_without_gpus_on_a_host_that_has_some_lacks_nothing(
    devices: Path, tmp_path: Path
) -> None:
    """The kernel lists the host's GPUs in every container; only device files tell whose."""
    for number in range(2):
        (devices / f"nvidia{number}").unlink()
    assert told_of_gpus(tmp_path) == CheckResult("GPUs", NONE)


def test_gpus_that_torch_sees_are_named(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = ["NVIDIA H100", "NVIDIA L4"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(seen))
    monkeypatch.setattr(torch.cuda, "get_device_name", seen.__getitem__)
    assert told_of_gpus(tmp_path) == CheckResult("GPUs", "NVIDIA H100, NVIDIA L4")
