"""What the training loop costs beside a bare one: the same network, batches and precision.

The bare loop has forward, loss, backward and torch's fused SGD on batches that are ready-made. The
training loop also shuffles, augments and normalises images, follows the schedule, averages
weights and statistics, adds up loss and accuracy and looks for what is not finite. Validation is
told apart: a bare loop has none.

    python -m benchmarks.training_loop [--data digits] [--names WRN-16-2,DenseNet-BC-40-12]

Both take turns, epoch by epoch, and the calling thread's processor seconds count: on a shared
machine wall time tells more about the neighbours. They still make these slower, never faster, so
the fastest rounds are compared; the quartiles of the rounds' own ratios show how quiet it was.
Where they lie far apart, `parts_percent` is the better answer: what the loop does beyond a bare
step, each part timed alone, its fastest of many. Prints one JSON line a network.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import platform
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from archsearch.data import DataSpec, PreparedData, ResidentData, load_resident, prepare
from archsearch.models import build_model
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.averaging import WeightAverage
from archsearch.training.batches import TrainingBatches
from archsearch.training.loop import Training
from archsearch.training.predict import predict
from archsearch.training.schedule import steps_per_epoch


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds of this thread; the backward pass on a processor runs in it too."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


def bare_epochs(
    config: TrialConfig, prepared: PreparedData, data: ResidentData, bfloat16: bool
) -> Iterator[None]:
    """An endless bare loop on batches made before it starts."""
    recipe = config.recipe
    batches = list(TrainingBatches(data.train, prepared, recipe, seed=0).epoch())
    model: nn.Module = build_model(config.architecture, config.input)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate / 10,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
        fused=True,
    )
    while True:
        for images, labels in batches:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = model(images)
            functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
        yield


def parts_ms(config: TrialConfig, prepared: PreparedData, data: ResidentData) -> dict[str, float]:
    """Milliseconds a step of each thing that the loop does and a bare one does not."""
    batches = TrainingBatches(data.train, prepared, config.recipe, seed=0)
    model: nn.Module = build_model(config.architecture, config.input)
    model = model.to(memory_format=torch.channels_last)
    average = WeightAverage(model)
    logits, labels = torch.randn(batches.batch_size, 10), torch.zeros(batches.batch_size)
    loss_sum, num_right = torch.zeros(()), torch.zeros((), dtype=torch.int64)

    def add_up() -> None:
        nonlocal loss_sum, num_right
        num_right += (logits.argmax(1) == labels).sum()
        loss_sum += logits[0, 0].detach()
        math.isfinite(float(loss_sum))

    def fastest(work: Callable[[], object]) -> float:
        return 1000 * min(seconds_of(work) for _ in range(50))

    return {
        "batches": fastest(lambda: list(batches.epoch())) / batches.steps_per_epoch,
        "average": fastest(lambda: average.update(500)),
        "totals": fastest(add_up),
    }


def measure(name: str, prepared: PreparedData, arguments: argparse.Namespace) -> dict[str, object]:
    data = load_resident(prepared)
    config = TrialConfig(
        architecture=parse_name(name),
        recipe=Recipe(batch_size=arguments.batch_size),
        input=prepared.input_spec,
        max_epochs=10_000,
        seed=0,
    )
    training = Training(config, prepared, data)
    ours = training.epochs()
    bare = bare_epochs(config, prepared, data, bfloat16=training.precision == "bfloat16")

    def validate() -> None:
        predict(
            training.averaged_model,
            data.val,
            mean=prepared.mean,
            std=prepared.std,
            precision=training.precision,
        )

    works: dict[str, Callable[[], object]] = {
        "bare": lambda: next(bare),
        "ours": lambda: next(ours),
        "validation": validate,
    }
    for work in works.values():
        work()  # warms allocators and kernels up
    if arguments.profile:
        profile = cProfile.Profile()
        profile.runcall(works["ours"])
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    times = {key: [] for key in works}  # type: dict[str, list[float]]
    for _ in range(arguments.rounds):
        for key, work in works.items():
            times[key].append(seconds_of(work))
    trained = [a - b for a, b in zip(times["ours"], times["validation"], strict=True)]
    ratios = [one / two for one, two in zip(trained, times["bare"], strict=True)]
    fastest = {key: min(values) for key, values in times.items()}
    fastest_trained = fastest["ours"] - fastest["validation"]
    steps = steps_per_epoch(len(data.train), arguments.batch_size)
    bare_ms = 1000 * fastest["bare"] / steps
    parts = parts_ms(config, prepared, data)
    return {
        "name": config.name,
        "precision": training.precision,
        "batch_size": arguments.batch_size,
        "steps_per_epoch": steps,
        "bare_ms_per_step": round(bare_ms, 3),
        "ours_ms_per_step": round(1000 * fastest_trained / steps, 3),
        "overhead_percent": round(100 * (fastest_trained / fastest["bare"] - 1), 1),
        "quartiles_percent": [round(100 * (q - 1), 1) for q in statistics.quantiles(ratios, n=4)],
        "parts_ms_per_step": {key: round(value, 3) for key, value in parts.items()},
        "parts_percent": round(100 * sum(parts.values()) / bare_ms, 1),
        "validation_percent_of_epoch": round(100 * fastest["validation"] / fastest["ours"], 1),
        "rounds": arguments.rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--train-size", type=int)
    parser.add_argument("--names", default="WRN-10-1,WRN-16-2,ResNeXt-29-2x8d,DenseNet-BC-40-12")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--profile", action="store_true", help="show where an epoch's time goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    machine = {"torch": torch.__version__, "python": platform.python_version(), "threads": 1}
    print(json.dumps(machine))
    with tempfile.TemporaryDirectory() as folder:
        spec = DataSpec(name=arguments.data, train_size=arguments.train_size)
        prepared = prepare(spec, cache_dir=Path(folder))
        for name in arguments.names.split(","):
            print(json.dumps(measure(name, prepared, arguments)), flush=True)


if __name__ == "__main__":
    main()
