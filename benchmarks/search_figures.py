"""Where the time of a finished search went, from its record and its workers' logs.

    python benchmarks/search_figures.py runs/NAME --slots 2

Prints trials, epochs, images a second, the share of the workers' time that was spent training,
the time from the search's start to its first epoch, and from a trial's end to the next one's first
step on the same worker. Run the search alone on its machine; figures of one run compare with
nothing but another run beside it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import statistics
from collections import defaultdict
from pathlib import Path

from archsearch.record.database import Database
from archsearch.record.reader import get_search, read_trials

_LINE = re.compile(r"(\S+ \S+) (\d+) \w+ (.*)")


def worker_events(trials_folder: Path) -> dict[int, list[tuple[float, str]]]:
    """Process → (seconds, message) of its log lines over all trials, in time order."""
    events = defaultdict(list)
    for log in trials_folder.glob("*/worker.log"):
        for line in log.read_text().splitlines():
            match = _LINE.match(line)
            if match:
                when = dt.datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()
                events[int(match[2])].append((when, match[3]))
    return {process: sorted(found) for process, found in events.items()}


def gaps_between_trials(events: dict[int, list[tuple[float, str]]]) -> list[float]:
    """Seconds from a trial's last finished epoch to the next trial's first step, by worker."""
    gaps = []
    for found in events.values():
        for (ended, last), (started, first) in zip(found, found[2:], strict=False):
            if last.startswith("epoch") and first.startswith("training begins"):
                gaps.append(started - ended)
    return gaps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slots", type=int, required=True)
    given = parser.parse_args()
    database = Database.open(given.folder / "search.db", create=False)
    search = get_search(database, given.folder.name)
    trials = read_trials(database, search.id)
    epochs = [epoch for trial in trials for epoch in trial.epochs]
    images = sum(epoch.result.images for epoch in epochs)
    training = sum(epoch.result.train_seconds for epoch in epochs)
    validation = sum(epoch.result.val_seconds for epoch in epochs)
    first_epoch = min(epoch.created_ms for epoch in epochs) / 1000
    began = min(trial.created_ms for trial in trials) / 1000
    ended = max(epoch.created_ms for epoch in epochs) / 1000
    gaps = gaps_between_trials(worker_events(given.folder / "trials"))
    print(f"trials {len(trials)}, epochs {len(epochs)}, images trained on {images:,}")
    print(f"search seconds {search.seconds:.1f}; first to last trial {ended - began:.1f}")
    print(f"images a second of that time {images / (ended - began):,.0f}")
    busy = given.slots * (ended - began)
    print(
        f"share of worker time: training {training / busy:.1%}, validation {validation / busy:.1%}"
    )
    print(
        f"from the search's row to the first epoch {first_epoch - search.created_ms / 1000:.1f} s"
    )
    print(f"from the first trial's row to the first epoch {first_epoch - began:.1f} s")
    if gaps:
        spread = f"{min(gaps):.2f} to {max(gaps):.2f}"
        middle = statistics.median(gaps)
        print(f"trial's end to next first step: median {middle:.2f} s ({spread}, n={len(gaps)})")


if __name__ == "__main__":
    main()
