"""A GPU's memory: known before it is taken, and given way to when somebody else has taken it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Self

import pytest
import torch

from archsearch.data import PreparedData, load_resident
from archsearch.models import build_model
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import CIFAR_INPUT, parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.footprint import MIB, training_memory
from archsearch.training.loop import Training
from archsearch.training.memory import OutOfMemoryDuringTrainingError
from archsearch.training.precision import native_precision
from archsearch.training.stepper import Stepper

pytestmark = pytest.mark.gpu

BATCH_SIZE = 128

NEIGHBOUR = """
import sys, torch
one = torch.eye(64, device="cuda")
held = []
for line in sys.stdin:
    held.clear()
    torch.cuda.empty_cache()
    room, free = int(line), torch.cuda.mem_get_info()[0]
    if 0 < room < free:
        held.append(torch.empty(free - room, dtype=torch.uint8, device="cuda"))
    print(int((one @ one).sum()), flush=True)
"""


class Neighbour:
    """Another process on the same GPU, which takes all of its memory but some."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NEIGHBOUR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.leave(0)

    def leave(self, room: int) -> None:
        """Take all but so many bytes (0 takes nothing), and compute something."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(room, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "64\n", "the neighbour did not get on"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour() as process:
        yield process


def allocated_bytes(name: str) -> int:
    """Most that three steps of a training take at once."""
    device, spec = torch.device("cuda"), parse_name(name)
    before = torch.cuda.memory_allocated()
    model = build_model(spec, CIFAR_INPUT).train()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    stepper = Stepper(
        model,
        Recipe(batch_size=BATCH_SIZE),
        total_steps=100,
        precision=native_precision(device),
        batch_size=BATCH_SIZE,
    )
    images = torch.rand(BATCH_SIZE, 3, 32, 32, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(BATCH_SIZE, dtype=torch.int64, device=device)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        stepper.step(images, labels)
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("ResNet-56", 0.1),
        ("WRN-28-10", 0.1),
        ("ResNeXt-29-8x16d", 0.1),
        ("DenseNet-BC-40-12", 0.1),
        ("WRN-16-4-dropout0.3", 0.25),  # its masks are bytes on a GPU, numbers in the prediction
    ],
)
def test_a_gpu_allocates_what_was_predicted(name: str, tolerance: float) -> None:
    """At batches that outweigh what libraries take for their own, some of it for good."""
    allocated_bytes("WRN-10-1")
    precision = native_precision(torch.device("cuda"))
    predicted = training_memory(parse_name(name), CIFAR_INPUT, BATCH_SIZE, precision).peak
    assert allocated_bytes(name) == pytest.approx(predicted, rel=tolerance)


def start(data: PreparedData, name: str = "WRN-28-10", micro_batch: int | None = None) -> Training:
    config = TrialConfig(
        architecture=parse_name(name),
        recipe=Recipe(batch_size=320, augmentation=0.0),
        input=data.input_spec,
        max_epochs=2,
        seed=1,
    )
    resident = load_resident(data)
    return Training(config, data, resident, device="cuda", micro_batch=micro_batch)


def predicted_bytes(data: PreparedData, batch_size: int) -> int:
    spec: InputSpec = data.input_spec
    precision = native_precision(torch.device("cuda"))
    return training_memory(parse_name("WRN-28-10"), spec, batch_size, precision).peak


def test_a_trial_that_gets_too_little_room_goes_on_in_micro_batches(
    large_digits: PreparedData, neighbour: Neighbour
) -> None:
    """The same steps on the same images; the neighbour does not notice."""
    next(start(large_digits, "WRN-10-1").epochs())  # what the libraries take is taken before
    neighbour.leave((predicted_bytes(large_digits, 40) + predicted_bytes(large_digits, 320)) // 2)
    cut = list(start(large_digits).epochs())
    assert all(result.micro_batch < 320 for result in cut)
    torch.cuda.empty_cache()
    neighbour.leave(0)
    asked = list(start(large_digits, micro_batch=cut[0].micro_batch).epochs())
    for one, two in zip(cut, asked, strict=True):
        assert (one.images, one.micro_batch) == (two.images, two.micro_batch)
        assert one.train_loss == pytest.approx(two.train_loss, rel=0.05)


@pytest.mark.parametrize("room", [16, 64, 256, 600], ids="{}-mib".format)
def test_a_trial_that_fits_nowhere_is_out_of_memory(
    large_digits: PreparedData, neighbour: Neighbour, room: int
) -> None:
    """Wherever memory runs out: building, augmenting, training or validating."""
    next(start(large_digits, "WRN-10-1").epochs())
    torch.cuda.empty_cache()
    neighbour.leave(room * MIB)
    with pytest.raises(OutOfMemoryDuringTrainingError, match="out of memory"):
        list(start(large_digits).epochs())
    neighbour.leave(0)
    torch.cuda.empty_cache()
    assert next(start(large_digits, "WRN-10-1").epochs()).micro_batch == 320
