from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from archsearch.data import DataSpec, PreparedData, load_resident, prepare
from archsearch.models import WideResNetSpec, build_model
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training import loop
from archsearch.training.batches import TrainingBatches
from archsearch.training.loop import Training
from archsearch.training.memory import OutOfMemoryDuringTrainingError, is_out_of_memory
from archsearch.training.result import EpochResult

Build = Callable[..., nn.Module]


class Device:
    """A device with room for `room` images at once; other trials may take it all."""

    def __init__(self, room: int, error: BaseException | None = None) -> None:
        self.room = room
        self.sizes: list[int] = []
        self._error = error or torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2 GiB"
        )

    def check(self, module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if module.training:
            self.sizes.append(len(inputs[0]))
        if len(inputs[0]) > self.room:
            raise self._error

    def __deepcopy__(self, memo: object) -> Device:
        return self  # one device, however many networks

    def build(self, build: Build) -> Build:
        def built(*arguments: object) -> nn.Module:
            model = build(*arguments)
            model.register_forward_pre_hook(self.check)
            return model

        return built


def linear(*_: object) -> nn.Module:
    """A network without BatchNorm: a micro-batch changes nothing but rounding."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def start(prepared: PreparedData, micro_batch: int | None = None, max_epochs: int = 3) -> Training:
    config = TrialConfig(
        architecture=WideResNetSpec(depth=10, widen_factor=1),
        recipe=Recipe(batch_size=32),
        input=prepared.input_spec,
        max_epochs=max_epochs,
        seed=1,
    )
    data = load_resident(prepared)
    return Training(config, prepared, data, precision="float32", micro_batch=micro_batch)


def numbers(results: list[EpochResult]) -> list[dict[str, object]]:
    times = {"train_seconds", "val_seconds"}
    return [each.model_dump(exclude=times) for each in results]


def test_a_network_without_batchnorm_gives_the_same_numbers_in_micro_batches(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean gradient of the whole batch is the same but for the order of sums."""
    monkeypatch.setattr(loop, "build_model", linear)
    whole = list(start(few_digits).epochs())
    device = Device(room=7)
    monkeypatch.setattr(loop, "build_model", device.build(linear))
    cut = list(start(few_digits).epochs())
    for one, two in zip(whole, cut, strict=True):
        assert two.train_loss == pytest.approx(one.train_loss, rel=1e-5)
        assert two.val_loss == pytest.approx(one.val_loss, rel=1e-5)
        assert two.images == one.images
    # 32 and 16 and 8 did not fit; then each batch of 32 went through in eight parts of four.
    assert device.sizes[:4] == [32, 16, 8, 4]
    assert set(device.sizes[4:]) == {4}
    assert len(device.sizes) == 3 + 3 * 2 * 8
    assert {each.micro_batch for each in cut} == {4}


def test_running_out_gives_the_numbers_of_asking_for_that_micro_batch(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With BatchNorm too, where memory runs out before a layer has seen the batch."""
    asked = numbers(list(start(few_digits, micro_batch=8).epochs()))
    monkeypatch.setattr(loop, "build_model", Device(room=8).build(build_model))
    assert numbers(list(start(few_digits).epochs())) == asked


def test_micro_batches_train_a_batchnorm_network_about_as_well(cache_dir: Path) -> None:
    """Statistics of 8 images instead of 32 are noisier, but they learn the same."""
    data = prepare(DataSpec(name="digits", train_size=320), cache_dir=cache_dir)
    whole = list(start(data, max_epochs=7).epochs())
    cut = list(start(data, micro_batch=8, max_epochs=7).epochs())
    assert whole[-1].val_accuracy > 0.7
    assert cut[-1].val_accuracy == pytest.approx(whole[-1].val_accuracy, abs=0.15)


def test_running_statistics_forget_as_fast_in_micro_batches(few_digits: PreparedData) -> None:
    """Else four updates a step would keep 0.66 instead of 0.9 of what there was."""
    means: list[torch.Tensor] = []
    for micro_batch in (32, 8):
        training = start(few_digits, micro_batch=micro_batch)
        list(zip(range(1), training.epochs(), strict=False))
        state = training.averaged_model.state_dict()
        means += [next(mean for name, mean in state.items() if name.endswith("running_mean"))]
    torch.testing.assert_close(means[0], means[1], rtol=0.15, atol=0.02)


def test_room_that_is_lost_midway_is_seen_then(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(room=512)
    monkeypatch.setattr(loop, "build_model", device.build(build_model))
    training = start(few_digits)
    epochs = training.epochs()
    assert next(epochs).micro_batch == 32
    device.room = 16
    assert next(epochs).micro_batch == 16
    again = start(few_digits)
    again.load_state_bytes(training.state_bytes())
    assert again.micro_batch == 16  # a resumed trial does not try the larger one again
    assert numbers(list(again.epochs())) == numbers(list(epochs))


@pytest.mark.parametrize(
    ("build", "sizes"),
    [(linear, [32, 16, 8, 4, 2, 1]), (build_model, [32, 16, 8, 4, 2])],
    ids=["without-batchnorm", "with-batchnorm"],
)
def test_when_not_even_the_smallest_micro_batch_fits_the_trial_is_out_of_memory(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch, build: Build, sizes: list[int]
) -> None:
    """BatchNorm cannot learn from single images, so its smallest is two."""
    device = Device(room=0)
    monkeypatch.setattr(loop, "build_model", device.build(build))
    with pytest.raises(
        OutOfMemoryDuringTrainingError, match=f"even with micro-batches of {sizes[-1]}"
    ):
        next(start(few_digits).epochs())
    assert device.sizes == sizes


def test_validation_that_does_not_fit_is_halved_too(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(room=32)
    monkeypatch.setattr(loop, "build_model", device.build(build_model))
    expected = numbers(list(start(few_digits, max_epochs=1).epochs()))
    device.room = 512
    roomy = numbers(list(start(few_digits, max_epochs=1).epochs()))
    assert expected[0]["val_accuracy"] == roomy[0]["val_accuracy"]


def test_a_network_that_does_not_fit_when_built_is_out_of_memory(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> nn.Module:
        raise MemoryError

    monkeypatch.setattr(loop, "build_model", fail)
    with pytest.raises(OutOfMemoryDuringTrainingError, match="while WRN-10-1 was built"):
        start(few_digits)


def test_a_batch_that_cannot_be_made_is_out_of_memory(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are augmented where they are, which is the GPU if there is one."""

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    training = start(few_digits)
    monkeypatch.setattr(TrainingBatches, "_augmented", fail)
    outer = torch.get_rng_state()
    with pytest.raises(OutOfMemoryDuringTrainingError, match="in epoch 1, between two steps"):
        next(training.epochs())
    assert torch.equal(torch.get_rng_state(), outer)


def test_other_errors_pass_through(
    few_digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Device(room=0, error=RuntimeError("a bug"))
    monkeypatch.setattr(loop, "build_model", broken.build(build_model))
    with pytest.raises(RuntimeError, match="a bug"):
        next(start(few_digits).epochs())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
    ],
)
def test_running_out_of_memory_is_recognised(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_processors_own_allocator_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_a_micro_batch_below_one_is_refused(few_digits: PreparedData) -> None:
    with pytest.raises(ValueError, match="`micro_batch >= 1` must hold"):
        start(few_digits, micro_batch=0)
