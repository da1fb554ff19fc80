"""What a search costs its driver and its record as it grows; docs/scale.md says what follows.

    python benchmarks/scale.py driver --sizes 1000,3000,10000
    python benchmarks/scale.py record [--database postgresql+psycopg://…]
    python benchmarks/scale.py tracking [--uri http://127.0.0.1:5000]
    python benchmarks/scale.py checkpoints

`driver` asks the director of a real search, sampler included, which knows so many ended trials,
for a few more; nothing is trained and nothing is written. `record` writes trials and epochs as a
driver does; `tracking` delivers them. Times are processor seconds of the process where nothing
else says so: on a shared machine wall time tells more about the neighbours. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from archsearch.halving.rungs import Ladder
from archsearch.record import lease
from archsearch.record.cells import SearchIdentity, TrialComplexity
from archsearch.record.database import Database
from archsearch.record.messages import SearchStarted
from archsearch.record.paths import RunsFolder
from archsearch.record.policy import Policy
from archsearch.record.reader import read_trials
from archsearch.record.settings import SearchSettings
from archsearch.record.trial import EpochRecord, TrialRecord
from archsearch.record.writer import Ending, Writer, create_search
from archsearch.search.assignment import Assignment
from archsearch.simulation.clock import Run
from archsearch.simulation.curves import SimulatedEpoch
from archsearch.simulation.search import DATA, Setting, _director, simulate
from archsearch.spaces.load import load_space
from archsearch.spaces.trial_config import TrialConfig

SPACE = "all_families"
MAX_EPOCHS = 9
ASKED = 5
IDENTITY = SearchIdentity(space="0", data="0", split="0", seed=0, max_epochs=MAX_EPOCHS)
SETTINGS = SearchSettings(data=DATA, rungs=(1, 3), trials=1)


@dataclass(frozen=True)
class AnyWorld:
    """Curves that rise to a level of each member's own; all members cost the same."""

    name: str = "any"
    description: str = "nothing in particular is true"

    def complexity(self, config: TrialConfig) -> TrialComplexity:
        """The same for everybody."""
        return TrialComplexity(params=100_000, macs=10_000_000, activations=100_000)

    def curve(self, config: TrialConfig) -> tuple[SimulatedEpoch, ...]:
        """Noise on a rise."""
        generator = np.random.default_rng(config.seed)
        level = generator.uniform(0.5, 0.9)
        rise = 1 - 0.5 ** np.arange(1, config.max_epochs + 1)
        return tuple(SimulatedEpoch(float(level * r), 1.0) for r in rise)


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this process, and what came out."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def driver(sizes: list[int]) -> Iterator[dict[str, Any]]:
    """What the next ask, epoch and end cost a director that knows so many trials."""
    space = load_space(SPACE)
    ladder = Ladder(1, MAX_EPOCHS, 3)
    for size in sizes:
        setting = Setting(space, ladder, trials=size, workers=64, policy=Policy(random_share=1.0))
        drawn, known = seconds_of(lambda s=setting: simulate(s, AnyWorld()))
        trials = [replace(trial, arm="sampler") for trial in known.trials]
        epochs = sum(len(trial.epochs) for trial in trials)
        more = replace(setting, trials=size + ASKED + 1, policy=Policy(random_share=0.0))
        director = _director(more, AnyWorld(), [], lambda event: None)
        restored, _ = seconds_of(lambda d=director, t=trials: _restore(d, t))
        asks, reports, ends = [], [], []
        for _ in range(ASKED):
            took, assignment = seconds_of(lambda d=director, n=size: d.next_assignment(n + ASKED))
            assert isinstance(assignment, Assignment)
            asks.append(took)
            run = Run(assignment, AnyWorld().curve(assignment.config), more.objective)
            costs = [_cost_of_report(director, run) for _ in run.curve]
            reports += costs[:-1]
            ends.append(costs[-1])
        looks = [seconds_of(lambda d=director: (d.unfinished, d.trials))[0] for _ in asks]
        yield {
            "trials": size,
            "epochs": epochs,
            "ask_ms": _ms(asks),
            "epoch_ms": _ms(reports),
            "last_epoch_ms": _ms(ends),
            "look_ms": _ms(looks),
            "restore_s": round(restored, 2),
            "uniform_draw_and_all_its_events_ms": round(1e3 * drawn / size, 2),
            "memory_mib": round(psutil.Process().memory_info().rss / 2**20),
        }


def _restore(director: Any, trials: list[TrialRecord]) -> None:
    """As `make_director` and a driver that starts again do."""
    director._sampler.restore(trials, [])
    director._draws.restore(trials, [])
    director.restore(trials)


def _cost_of_report(director: Any, run: Run) -> float:
    return seconds_of(lambda: director.on_report(run.report()))[0]


def _ms(seconds: list[float]) -> float:
    return round(1e3 * statistics.median(seconds), 3)


def _fill(writer: Writer, num_trials: int) -> Iterator[float]:
    """Wall seconds of every transaction of trials with `MAX_EPOCHS` epochs each."""
    space = load_space(SPACE)
    setting = Setting(
        space, Ladder(1, MAX_EPOCHS, 3), trials=num_trials, policy=Policy(random_share=1.0)
    )
    for trial in simulate(setting, AnyWorld()).trials:
        issued = replace(trial, outcome=None, reason=None, finished_ms=None, epochs=[])
        yield _wall(lambda t=issued: writer.add_trial(t))
        for epoch in trial.epochs:
            is_last = epoch is trial.epochs[-1]
            ending = Ending("completed", "trained to its end") if is_last else None
            yield _wall(lambda t=trial, e=epoch, end=ending: _add(writer, t.number, e, end))


def _add(writer: Writer, number: int, epoch: EpochRecord, ending: Ending | None) -> None:
    writer.add_epoch(number, epoch, ending=ending)


def _wall(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _new_record(where: Path | str) -> tuple[Database, int, Writer]:
    database = Database.open(where, create=True)
    name = f"scale-{uuid.uuid4().hex[:8]}"
    search = create_search(database, name, identity=IDENTITY, settings=SETTINGS, space={})
    return database, search.id, Writer(database, search.id, lease.acquire(database, search.id))


def record(url: str | None, num_trials: int) -> Iterator[dict[str, Any]]:
    """Transactions a second, and bytes, of a driver that does nothing but write."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "search.db"
        database, search_id, writer = _new_record(url or file)
        started = time.process_time()
        costs = list(_fill(writer, num_trials))
        processor = time.process_time() - started
        reading = _wall(lambda: read_trials(database, search_id))
        tenth = len(costs) // 10
        yield {
            "database": database.label if url else "SQLite",
            "transactions": len(costs),
            "wall_per_second": round(len(costs) / sum(costs)),
            "median_ms_of_first_tenth": _ms(costs[:tenth]),
            "median_ms_of_last_tenth": _ms(costs[-tenth:]),
            "p99_ms": round(1e3 * statistics.quantiles(costs, n=100)[98], 2),
            "processor_ms_each": round(1e3 * processor / len(costs), 3),
            "bytes_an_epoch": None if url else round(_size(file) / (num_trials * MAX_EPOCHS)),
            "read_all_wall_s": round(reading, 2),
        }
        writer.release()
        database.close()


def _size(file: Path) -> int:
    return sum(path.stat().st_size for path in file.parent.iterdir())


def tracking(uri: str | None, num_trials: int) -> Iterator[dict[str, Any]]:
    """Messages and points a second that reach MLflow, from a record that waits."""
    from archsearch.tracking.client import open_client
    from archsearch.tracking.sender import deliver
    from archsearch.tracking.store import tracking_store

    with tempfile.TemporaryDirectory() as folder:
        database, search_id, writer = _new_record(Path(folder) / "search.db")
        announcement = SearchStarted(
            name=f"scale-{uuid.uuid4().hex[:8]}",
            uuid=uuid.uuid4().hex,
            space_name="scale",
            space={},
            data=DATA.description,
            identity=IDENTITY,
            settings=SETTINGS,
        )
        writer.start(announcement)
        for _ in _fill(writer, num_trials):
            pass
        writer.release()
        store = tracking_store(RunsFolder(Path(folder)), uri)
        client = open_client(store)
        client.search_experiments(max_results=1)
        started = time.process_time()
        took = _wall(lambda: deliver(database, search_id, store))
        processor = time.process_time() - started
        sent = 1 + num_trials * (2 + MAX_EPOCHS)
        run = client.search_runs(
            [e.experiment_id for e in client.search_experiments()], max_results=2
        )[0]
        points = len(run.data.metrics) * num_trials * MAX_EPOCHS
        yield {
            "store": store.label if uri else "SQLite",
            "messages_per_second": round(sent / took),
            "points_per_second": round(points / took),
            "trials_per_second": round(num_trials / took, 1),
            "processor_share": round(processor / took, 2),
        }
        database.close()


def checkpoints() -> Iterator[dict[str, Any]]:
    """Bytes of a checkpoint, and of its parameters in float32."""
    import torch

    from archsearch.models import build_model
    from archsearch.schema import InputSpec
    from archsearch.spaces.catalogue import parse_name
    from archsearch.training.averaging import WeightAverage

    cifar = InputSpec(in_channels=3, image_size=32, num_classes=10)
    for name in ("ResNet-20", "WRN-16-4", "WRN-28-10", "ResNeXt-29-8x64d", "DenseNet-BC-100-12"):
        network = build_model(parse_name(name), cifar)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        buffer = io.BytesIO()
        average = WeightAverage(network).model.state_dict()
        torch.save((network.state_dict(), optimizer.state_dict(), average), buffer)
        params = sum(p.numel() for p in network.parameters())
        each = round(buffer.tell() / params, 2)
        yield {"network": name, "params": params, "bytes_a_parameter": each}


def main() -> None:
    """Run one part and say on what."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=("driver", "record", "tracking", "checkpoints"))
    parser.add_argument("--sizes", default="1000,3000,10000")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--database")
    parser.add_argument("--uri")
    given = parser.parse_args()
    parts = {
        "driver": lambda: driver([int(size) for size in given.sizes.split(",")]),
        "record": lambda: record(given.database, given.trials),
        "tracking": lambda: tracking(given.uri, given.trials),
        "checkpoints": checkpoints,
    }
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"machine": machine, "load": [round(x, 1) for x in os.getloadavg()]}))
    for line in parts[given.part]():
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
