"""What a step costs is counted by hand here; what a machine charges is found again by the fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from archsearch.errors import UsageError
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import CIFAR_INPUT, parse_name
from archsearch.training import calibration as calibration_module
from archsearch.training.calibration import (
    PROBES,
    Calibration,
    Machine,
    Probe,
    StepTimer,
    calibrate,
    calibrated,
    fitted,
    this_machine,
)
from archsearch.training.step_time import StepCosts, StepTimeModel, step_costs

FEW = tuple(
    Probe(name=name, image_size=8, batch_size=4)
    for name in ("WRN-7-2-l=1", "ResNeXt-11-2x4d", "DenseNet-BC-10-4")
)


def test_costs_counted_by_hand() -> None:
    """A 3×3 stem to 16 channels, a block (16, 16, 3×3) at 8×8, one to 32 at 4×4, classifier."""
    spec = parse_name("ResNet-6-(1x16,1x32)-cifar")
    costs = step_costs(spec, InputSpec(in_channels=3, image_size=8, num_classes=10), 5)
    stem = 64 * 9 * 16 * 16  # 3 channels cost as much as 16
    first = 2 * 64 * 9 * 16 * 16
    second = 16 * 9 * 16 * 32 + 16 * 9 * 32 * 32
    assert costs.dense_macs == 5 * (stem + first + second)
    projection, classifier = 16 * 16 * 32, 32 * 16
    assert costs.pointwise_macs == 5 * (projection + classifier)
    convolutions, norms = 6, 6
    assert costs.layers == convolutions + norms + 1
    assert (costs.steps, costs.grouped_macs, costs.dropped_values) == (1, 0, 0)


def test_groups_narrower_than_a_block_cost_a_block() -> None:
    narrow, wide = (
        step_costs(parse_name(f"ResNeXt-11-{t}"), CIFAR_INPUT, 1) for t in ("8x2d", "8x4d")
    )
    assert narrow.grouped_macs > 0
    # Groups of 2, 4, 8 channels and of 4, 8, 16 channels: all of them one block wide.
    assert narrow.grouped_macs == wide.grouped_macs


def test_costs_grow_with_the_batch_but_for_what_is_a_step_s() -> None:
    spec = parse_name("WRN-10-1-dropout0.3")
    one, ten = (step_costs(spec, CIFAR_INPUT, n) for n in (1, 10))
    for name in ("dense_macs", "pointwise_macs", "values", "dropped_values"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name))
    for name in ("steps", "layers", "params"):
        assert getattr(ten, name) == getattr(one, name)
    assert one.dropped_values > 0


def test_recomputation_costs_a_third_more_and_freezing_less() -> None:
    plain, efficient = (
        step_costs(parse_name(f"DenseNet-BC-16-8{end}"), CIFAR_INPUT, 1)
        for end in ("", "-efficient")
    )
    assert efficient.dense_macs == pytest.approx(4 / 3 * plain.dense_macs)
    assert efficient.params == plain.params
    large = InputSpec(in_channels=3, image_size=64, num_classes=10)
    whole, frozen = (
        step_costs(parse_name(f"torchvision-resnet18-weights={'0' * 16}{end}"), large, 1)
        for end in ("", "-frozen4")
    )
    assert frozen.dense_macs == pytest.approx(whole.dense_macs / 3)
    assert frozen.params == 512 * 10 + 10


def test_the_fit_finds_prices_again_and_none_is_negative() -> None:
    costs = [step_costs(parse_name(p.name), p.input_spec, p.batch_size) for p in PROBES]
    prices = np.array([1e-3, 5e-11, 6e-11, 3e-11, 2e-4, 4e-9, 2e-8, 1.5e-8])
    seconds = (np.array(costs) @ prices).tolist()
    found = fitted(costs, seconds).prices
    for name, price in zip(StepCosts._fields, prices, strict=True):
        assert found[name] == pytest.approx(price, rel=1e-3)
    rng = np.random.default_rng(0)
    noisy = [s * rng.uniform(0.5, 1.5) for s in seconds]
    assert all(price >= 0 for price in fitted(costs, noisy).prices.values())


def test_seconds_are_costs_at_their_prices() -> None:
    model = StepTimeModel(prices={"layers": 1.0, "steps": 0.5})
    spec = parse_name("ResNet-6-(1x16,1x32)-cifar")
    assert model.seconds(spec, CIFAR_INPUT, 64) == 13.5
    with pytest.raises(UsageError, match="image_size"):
        model.seconds(
            parse_name("ResNet-50"), InputSpec(in_channels=3, image_size=8, num_classes=2), 1
        )


def test_a_calibration_measures_its_probes_in_their_order() -> None:
    machine = this_machine(torch.device("cpu"), "float32")
    before = torch.get_rng_state()
    made = calibrate(machine, FEW)
    assert [t.probe for t in made.timings] == list(FEW)
    assert all(t.seconds > 0 and t.fitted_seconds > 0 for t in made.timings)
    assert made.reference_seconds > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_timed_step_takes_time() -> None:
    assert StepTimer(FEW[0], this_machine(torch.device("cpu"), "float32")).seconds() > 0


def test_a_machine_is_calibrated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_module, "PROBES", FEW)
    calls: list[str] = []
    made = calibrate(this_machine(torch.device("cpu"), "float32"), FEW[:1])

    def count(machine: Machine) -> Calibration:
        calls.append(machine.precision)
        return made

    monkeypatch.setattr(calibration_module, "calibrate", count)
    announced: list[int] = []
    for _ in range(2):
        assert (
            calibrated(precision="float32", cache_dir=tmp_path, on_start=announced.append) == made
        )
    assert (calls, announced) == (["float32"], [3])
    calibrated(precision="bfloat16", cache_dir=tmp_path)
    assert calls == ["float32", "bfloat16"]
    for path in tmp_path.iterdir():
        path.write_text("{")  # half a file
    calibrated(precision="float32", cache_dir=tmp_path)
    calibrated(precision="float32", cache_dir=tmp_path, anew=True)
    assert calls[2:] == ["float32", "float32"]


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = calibrate(this_machine(torch.device("cpu"), "float32"), FEW[:1])
    monkeypatch.setattr(calibration_module, "calibrate", lambda machine: made)
    (tmp_path / "file").touch()
    assert calibrated(cache_dir=tmp_path / "file" / "cache") == made
    assert "is not kept" in caplog.text
