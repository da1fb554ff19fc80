"""Searches that several rooms' tests look at."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from archsearch.analysis.recorded_search import RecordedSearch, recorded_search_of
from archsearch.driver.run import run_search
from archsearch.search.assignment import Assignment, EndReport
from archsearch.search.request import SearchRequest
from tests.search_support import NO_TRACKING, SyntheticRunner, learning_curve

NUM_TRIALS = 24


@dataclass(frozen=True)
class Searched:
    """A finished search, by what a user calls it."""

    name: str
    runs_dir: Path

    def recorded(self) -> RecordedSearch:
        """What it left behind, read anew."""
        return recorded_search_of(self.name, self.runs_dir)


def noisy_curve(assignment: Assignment, epoch: int) -> float:
    """The usual curve, with noise that the trial's seed sets."""
    noise = random.Random(f"{assignment.config.seed}/{epoch}").gauss(0, 0.004)
    return learning_curve(assignment, epoch) + noise


def sixth_breaks(assignment: Assignment, epoch: int) -> EndReport | None:
    """Every sixth trial fails in its second epoch, with a message that is no HTML."""
    if assignment.number % 6 != 5 or epoch != 2:
        return None
    return EndReport(
        number=assignment.number,
        attempt=assignment.attempt,
        outcome="failed",
        reason=f"RuntimeError: <b>{assignment.number}</b> & 'more'",
    )


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, data_cache: Path) -> Searched:
    """24 trials of two families, two at a time, of which four failed."""
    runs_dir = tmp_path_factory.mktemp("reported") / "runs"
    (runs_dir).mkdir()
    (runs_dir / "data").symlink_to(data_cache)
    request = SearchRequest(
        space="wrn_vs_resnext",
        trials=NUM_TRIALS,
        max_epochs=8,
        random_share=0.5,
        confirm="none",
        name="reported",
        runs_dir=runs_dir,
        tracking_uri=NO_TRACKING,
    )
    runner = SyntheticRunner(curve=noisy_curve, num_slots=2, end=sixth_breaks)
    run_search(request, run_trials=runner)
    return Searched("reported", runs_dir)


@pytest.fixture(scope="session")
def recorded(searched: Searched) -> RecordedSearch:
    """What that search left behind."""
    return searched.recorded()


SPACE = """
families:
  wrn:
    depth: {choice: [10, 16]}
    widen_factor: {choice: [1, 2, 4]}
  resnext:
    depth: {choice: [20, 29]}
    cardinality: {choice: [1, 2]}
    bottleneck_width: {choice: [2, 4]}
training:
  learning_rate: {float: [0.01, 0.5], log: true}
fidelity: {max_epochs: 9, grace_period_epochs: 1, reduction_factor: 3}
baselines: [WRN-10-1]
"""


@pytest.fixture
def request_in(tmp_path: Path, data_cache: Path) -> SearchRequest:
    """24 trials of two families, in a folder of their own, without confirm runs."""
    (tmp_path / "space.yaml").write_text(SPACE)
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "data").symlink_to(data_cache)
    return SearchRequest(
        space=str(tmp_path / "space.yaml"),
        trials=24,
        runs_dir=runs,
        tracking_uri=NO_TRACKING,
        confirm="none",
    )
