"""How far predicted training memory and step time are off, over random members of all families.

    OMP_NUM_THREADS=1 python -m benchmarks.cost_model [--members 50] [--precision float32]

Memory: each member is built and takes three optimizer steps in processes of its own, forked from
one that has torch loaded. `tensors` is the most that torch's allocator had handed out at once, by
the profiler's record of every allocation: this is what is predicted, and what a GPU's allocator
would report. `process` is by how much the peak resident size exceeded the size before, after a
warm-up on other networks: it has the libraries' workspaces in it, and the gaps that malloc keeps.

Time: the machine is calibrated now, on its own probes; then each member's steps are timed between
steps of the calibration's reference network. `drift-corrected` counts a step in those, as the
calibration does; `as timed` does not, and so contains what the machine's speed changed since.

Prints one JSON line a member, then the errors |predicted / measured - 1|: median, 90th percentile.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import gc
import itertools
import json
import os
import platform
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from archsearch.models.complexity import complexity
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.load import load_space
from archsearch.spaces.suggest import UniformSuggester
from archsearch.training.calibration import (
    REFERENCE,
    REPETITIONS,
    Calibration,
    Machine,
    Probe,
    StepTimer,
    calibrate,
    this_machine,
)
from archsearch.training.footprint import MIB, training_memory
from archsearch.training.precision import Precision

IMAGE_SIZES = (8, 16, 28)
MOST_MACS_A_STEP = 2 * 10**9
WARM_UP = tuple(
    Probe(name=name, image_size=8, batch_size=4)
    for name in ("WRN-10-1", "ResNeXt-11-2x4d", "DenseNet-BC-10-4")
)
KINDS = ("memory of tensors", "memory of the process", "time, drift-corrected", "time, as timed")


def random_members(number: int, seed: int) -> list[Probe]:
    """Members of `all_families`, family by family, small enough for a processor."""
    space, generator = load_space("all_families"), random.Random(seed)
    families = sorted(space.families)
    members: list[Probe] = []
    while len(members) < number:
        family = families[len(members) % len(families)]
        proposal = space.suggest(UniformSuggester(generator), family)
        image_size = generator.choice(IMAGE_SIZES)
        probe = Probe(name="", image_size=image_size, batch_size=1)
        config = space.config(proposal.params, probe.input_spec, seed=0)
        batch_size = config.recipe.batch_size
        macs = complexity(config.architecture, probe.input_spec).macs * batch_size
        if macs <= MOST_MACS_A_STEP:
            members.append(Probe(name=config.name, image_size=image_size, batch_size=batch_size))
    return members


def in_a_fork(work: Callable[[], int]) -> int:
    """What `work` answers in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = -1
        try:
            answer = work()
        finally:
            os.write(writing, str(answer).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = int(pipe.read())
    os.waitpid(child, 0)
    if answer < 0:
        raise RuntimeError("a measurement failed, see above")
    return answer


def train(member: Probe, machine: Machine) -> None:
    """Build a member and take three steps, two of which are its timer's warm-up."""
    StepTimer(member, machine).seconds()


def most_allocated(member: Probe, machine: Machine) -> int:
    """Most bytes that torch's allocator had handed out at once while a member trained."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the profiler is talkative
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        train(member, machine)
    kineto = recorded.profiler
    if kineto is None or kineto.kineto_results is None:
        raise RuntimeError("the profiler recorded nothing")
    events = [e for e in kineto.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return int(max(itertools.accumulate(changes)))


def resident_growth(member: Probe, machine: Machine) -> int:
    """Bytes by which training a member raises this process's peak resident size."""
    for probe in WARM_UP:
        train(probe, machine)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    train(member, machine)
    return _status("VmHWM") - before


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {field}")


def step_seconds(member: Probe, machine: Machine, reference: StepTimer) -> tuple[float, float]:
    """A member's step: (seconds, in steps of the reference), medians."""
    timer = StepTimer(member, machine)
    own, ratios = [], []
    before = reference.seconds()
    for _ in range(REPETITIONS):
        own.append(timer.seconds())
        after = reference.seconds()
        ratios.append(2 * own[-1] / (before + after))
        before = after
    return statistics.median(own), statistics.median(ratios)


def measured_memory(member: Probe, machine: Machine) -> dict[str, float]:
    return {
        f"{kind}_mib": in_a_fork(functools.partial(measure, member, machine)) / MIB
        for kind, measure in (("tensors", most_allocated), ("process", resident_growth))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads would not survive the forks
    precision: Precision = arguments.precision
    machine = this_machine(torch.device("cpu"), precision)
    print(json.dumps({**machine.model_dump(), "python": platform.python_version()}), flush=True)
    members = random_members(arguments.members, arguments.seed)
    memory = [measured_memory(member, machine) for member in members]
    calibration = calibrate(machine)
    reference = StepTimer(REFERENCE, machine)
    rows = [
        _row(member, measured, calibration, step_seconds(member, machine, reference))
        for member, measured in zip(members, memory, strict=True)
    ]
    for row in rows:
        print(json.dumps(row))
    for kind in KINDS:
        errors = _errors([row["errors"][kind] for row in rows])
        print(json.dumps({"of": kind, "n": len(rows), **errors}))


def _row(
    member: Probe,
    measured: dict[str, float],
    calibration: Calibration,
    timed: tuple[float, float],
) -> dict[str, Any]:
    spec, input_spec = parse_name(member.name), member.input_spec
    precision = calibration.machine.precision
    mib = training_memory(spec, input_spec, member.batch_size, precision).peak / MIB
    seconds = calibration.model.seconds(spec, input_spec, member.batch_size)
    as_timed, ratio = timed
    corrected = ratio * calibration.reference_seconds
    return {
        **member.model_dump(),
        "predicted_mib": round(mib, 1),
        **{kind: round(value, 1) for kind, value in measured.items()},
        "predicted_ms": round(1000 * seconds, 1),
        "corrected_ms": round(1000 * corrected, 1),
        "timed_ms": round(1000 * as_timed, 1),
        "errors": {
            "memory of tensors": mib / measured["tensors_mib"] - 1,
            "memory of the process": mib / measured["process_mib"] - 1,
            "time, drift-corrected": seconds / corrected - 1,
            "time, as timed": seconds / as_timed - 1,
        },
    }


def _errors(signed: list[float]) -> dict[str, float]:
    sizes = sorted(abs(error) for error in signed)
    return {
        "median_percent": round(100 * statistics.median(sizes), 1),
        "p90_percent": round(100 * statistics.quantiles(sizes, n=10)[-1], 1),
        "median_signed_percent": round(100 * statistics.median(signed), 1),
    }


if __name__ == "__main__":
    main()
