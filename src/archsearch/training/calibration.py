"""What a machine charges for a training step: measured on small networks, fitted, kept in a file.

Each probe's step is timed between two steps of a reference network, and counted in those: a
machine that others use changes its speed from minute to minute, and both are slowed alike.
"""

from __future__ import annotations

import functools
import logging
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, ValidationError

from archsearch.files import user_cache_dir, write_atomic
from archsearch.models import build_model
from archsearch.schema import Frozen, InputSpec, digest_of
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.training.precision import Precision, native_precision
from archsearch.training.step_time import StepCosts, StepTimeModel, step_costs
from archsearch.training.stepper import Stepper

_log = logging.getLogger(__name__)

REPETITIONS = 5
_WARM_UP = 2
_NUM_CLASSES = 10


class Probe(Frozen):
    """A network whose step is timed."""

    name: str
    image_size: int
    batch_size: int

    @property
    def input_spec(self) -> InputSpec:
        """Of its images."""
        return InputSpec(in_channels=3, image_size=self.image_size, num_classes=_NUM_CLASSES)


REFERENCE = Probe(name="WRN-10-1", image_size=16, batch_size=32)
PROBES: tuple[Probe, ...] = tuple(
    Probe(name=name, image_size=image_size, batch_size=batch_size)
    for name, image_size, batch_size in (
        ("WRN-10-1", 16, 32),
        ("WRN-16-2", 8, 64),
        ("WRN-10-4", 8, 64),
        ("WRN-10-4", 16, 16),
        ("WRN-10-8", 8, 16),
        ("WRN-16-2-B(1,3,1)", 16, 32),
        ("WRN-10-2-B(3,1)", 28, 16),
        ("WRN-10-2-dropout0.3", 16, 64),
        ("WRN-22-1-dropout0.3", 16, 32),
        ("ResNet-20", 28, 16),
        ("preact-ResNet-20", 16, 32),
        ("ResNet-56", 8, 32),
        ("ResNet-29-bottleneck", 16, 16),
        ("ResNeXt-11-2x4d", 16, 32),
        ("ResNeXt-11-8x4d", 8, 64),
        ("ResNeXt-11-32x4d", 8, 16),
        ("ResNeXt-11-4x32d", 8, 32),
        ("ResNeXt-20-2x16d", 8, 16),
        ("DenseNet-22-8", 16, 32),
        ("DenseNet-40-12", 8, 32),
        ("DenseNet-22-24", 16, 16),
        ("DenseNet-BC-22-12", 28, 16),
        ("DenseNet-BC-40-12", 8, 64),
        ("DenseNet-BC-28-32", 8, 32),
    )
)
"""Small members of every family, of every kind of layer, that together take seconds."""


class Machine(Frozen):
    """What prices depend on."""

    processor: str
    device: str
    precision: Precision
    num_threads: int = Field(ge=1)
    torch_version: str


class Timing(Frozen):
    """One probe, measured and as the fitted prices have it."""

    probe: Probe
    seconds: float
    fitted_seconds: float


class Calibration(Frozen):
    """The prices of one machine, and what they rest on."""

    machine: Machine
    model: StepTimeModel
    reference_seconds: float
    """A step of the reference network while the probes were measured (median)."""
    timings: tuple[Timing, ...]


def calibrated(
    device: str | torch.device = "cpu",
    precision: Precision | None = None,
    *,
    cache_dir: Path | None = None,
    anew: bool = False,
    on_start: Callable[[int], None] = lambda num_probes: None,
) -> Calibration:
    """This machine's calibration: from its file, or measured now (about half a minute) and kept.

    Args:
        device: Where steps run.
        precision: Of the networks' arithmetic; None takes what the device computes natively.
        cache_dir: Where the file is; None takes the user's cache folder.
        anew: Measure, whatever is kept.
        on_start: Told of how many probes are measured, before they are.
    """
    device = torch.device(device)
    machine = this_machine(device, precision or native_precision(device))
    folder = user_cache_dir() if cache_dir is None else cache_dir
    path = folder / f"step-time-{digest_of(machine, REFERENCE, *PROBES)[:16]}.json"
    if not anew:
        try:
            return Calibration.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            pass  # there is none, or half a one of another version
    on_start(len(PROBES))
    calibration = calibrate(machine)
    try:
        write_atomic(path, calibration.model_dump_json(indent=2) + "\n")
    except OSError as error:
        _log.warning("%s: the calibration is not kept (%s)", path, error.strerror)
    return calibration


def calibrate(machine: Machine, probes: tuple[Probe, ...] = PROBES) -> Calibration:
    """Measure probes on this machine and fit the prices."""
    reference = StepTimer(REFERENCE, machine)
    references = [reference.seconds()]
    relative = []
    for probe in probes:
        timer = StepTimer(probe, machine)
        ratios = []
        for _ in range(REPETITIONS):
            own = timer.seconds()
            references.append(reference.seconds())
            ratios.append(2 * own / (references[-2] + references[-1]))
        relative.append(statistics.median(ratios))
    level = statistics.median(references)
    seconds = [level * ratio for ratio in relative]
    costs = [step_costs(parse_name(p.name), p.input_spec, p.batch_size) for p in probes]
    model = fitted(costs, seconds)
    timings = tuple(
        Timing(
            probe=probe,
            seconds=measured,
            fitted_seconds=model.seconds(
                parse_name(probe.name), probe.input_spec, probe.batch_size
            ),
        )
        for probe, measured in zip(probes, seconds, strict=True)
    )
    return Calibration(machine=machine, model=model, reference_seconds=level, timings=timings)


def fitted(costs: list[StepCosts], seconds: list[float]) -> StepTimeModel:
    """Prices, none of them negative, with the least squares of the *relative* errors."""
    from scipy.optimize import nnls

    shares = np.array(costs, dtype=float) / np.array(seconds)[:, None]
    largest = shares.max(axis=0)
    largest[largest == 0] = 1.0  # no probe has any of it
    scaled, _ = nnls(shares / largest, np.ones(len(seconds)))
    prices = (scaled / largest).tolist()
    return StepTimeModel(prices=dict(zip(StepCosts._fields, prices, strict=True)))


class StepTimer:
    """A network in training whose steps can be timed one by one, from a warm state."""

    def __init__(self, probe: Probe, machine: Machine) -> None:
        self._device = torch.device(machine.device)
        # Processor time of the one thread does not count what others do in between.
        is_alone = self._device.type == "cpu" and machine.num_threads == 1
        self._clock = time.thread_time if is_alone else time.perf_counter
        with torch.random.fork_rng(devices=[]):
            model = build_model(parse_name(probe.name), probe.input_spec)
        # torch types no `to` that takes a memory format, though it documents one.
        model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._stepper = Stepper(
            model.train(),
            Recipe(batch_size=probe.batch_size, learning_rate=1e-4),
            total_steps=2**40,
            precision=machine.precision,
            batch_size=probe.batch_size,
        )
        side = probe.image_size
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(probe.batch_size, 3, side, side, generator=generator)
        self._images = images.to(self._device, memory_format=torch.channels_last)
        self._labels = torch.arange(probe.batch_size, device=self._device) % _NUM_CLASSES
        for _ in range(_WARM_UP):
            self.seconds()

    def seconds(self) -> float:
        """Take a step; its time."""
        self._synchronise()
        started = self._clock()
        self._stepper.step(self._images, self._labels)
        self._synchronise()
        return self._clock() - started

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def this_machine(device: torch.device, precision: Precision) -> Machine:
    """What prices depend on, here and now."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return Machine(
        processor=named,
        device=str(device),
        precision=precision,
        num_threads=torch.get_num_threads(),
        torch_version=torch.__version__,
    )


@functools.cache
def _processor() -> str:
    """The processor's model as Linux tells it, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
