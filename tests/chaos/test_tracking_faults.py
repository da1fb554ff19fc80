"""A tracking server that is away, hangs, is slow or dies, under searches as users run them.

What delivery itself must do is tested call by call in `tests/integration/test_tracking.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from archsearch.record.paths import RunsFolder
from archsearch.tracking.client import open_client
from archsearch.tracking.store import tracking_store
from tests.chaos.fault_table import FaultTable, account_of, snapshot
from tests.chaos.gate import SECONDS_A_CALL, Gate, Mode
from tests.cli_support import call, environment, start_search
from tests.tracking_support import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # MLflow and what it is made of warn of their own future; errors here would hit its threads.
    pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader"),
]

EPOCHS = 12
SEARCH = (
    "--space", "smoke", "--trials", 6, "--max-epochs", EPOCHS, "--random-share", 1,
    "--concurrency", 1, "--name", "told", "--confirm", "none",
)  # fmt: skip


@dataclass
class Server:
    """MLflow on a store of its own, which can be killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it answers."""
        self.folder.mkdir(exist_ok=True)
        options = {
            "host": "127.0.0.1",
            "port": self.port,
            "workers": 1,
            "backend-store-uri": f"sqlite:///{self.folder / 'store.db'}",
            "artifacts-destination": (self.folder / "artifacts").as_uri(),
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server"]
                + [f"--{name}={value}" for name, value in options.items()],
                env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        client = open_client(tracking_store(RunsFolder(self.folder), self.url))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):
                client.search_experiments()
                return
            time.sleep(0.5)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """All its processes, without notice."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@dataclass(frozen=True)
class Pace:
    """How fast a search trained: wall time between its first and its last epoch."""

    epochs: int
    seconds: float

    @property
    def epochs_per_minute(self) -> float:
        return 60 * self.epochs / self.seconds


def searched(cwd: Path, uri: str, *, at_half: Any = None) -> Pace:
    """Run the search to its end; `at_half` is called after half of the epochs."""
    cwd.mkdir()
    total = 6 * EPOCHS
    with start_search(*SEARCH, "--tracking-uri", uri, cwd=cwd) as search:
        search.wait_for("epoch_finished", 1)
        began = time.monotonic()
        search.wait_for("epoch_finished", total // 2 - 1)
        if at_half is not None:
            at_half()
        search.wait_for("epoch_finished", total // 2)
        pace = Pace(total - 1, time.monotonic() - began)
        code, errors = search.end()
    assert code == 0, errors
    assert "Traceback" not in errors
    return pace


def delivered(cwd: Path, server: Server) -> tuple[int, int]:
    """What the server has at the end: runs, and points of validation accuracy.

    Every trial once and ended, every epoch of it once and in order.
    """
    client = open_client(tracking_store(RunsFolder(server.folder), server.url))
    (experiment,) = (e for e in client.search_experiments() if e.name == "smoke")
    runs = client.search_runs([experiment.experiment_id])
    trials = {run.info.run_name: run for run in runs if run.data.tags["kind"] == "trial"}
    assert len(runs) == 1 + len(trials) == 7
    assert {run.info.status for run in runs} == {"FINISHED"}
    recorded = snapshot(cwd / "runs").recorded.trials
    for trial in recorded:
        run = next(run for name, run in trials.items() if f"trial-{trial.number:04d}" in name)
        points = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert [p.step for p in points] == [e.epoch for e in trial.epochs]
        assert [p.value for p in points] == [e.value for e in trial.epochs]
    return len(runs), sum(len(trial.epochs) for trial in recorded)


@pytest.fixture
def calm(server: Server, tmp_path: Path) -> Pace:
    """The same search beside a server of its own that is well, at about the same time."""
    beside = Server(tmp_path / "beside")
    beside.start()
    try:
        return searched(tmp_path / "calm", beside.url)
    finally:
        beside.kill()


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("closed", "down from the start, there after the end"),
        ("hanging", "accepts and never answers, well after the end"),
        ("slow", f"{SECONDS_A_CALL:g} s a call, well after the end"),
    ],
    ids=["down", "hanging", "slow"],
)
def test_a_server_that_is_not_well_slows_nothing_and_gets_all_once(
    mode: Mode, what: str, server: Server, calm: Pace, tmp_path: Path, faults: FaultTable
) -> None:
    cwd = tmp_path / "disturbed"
    with Gate(server.port, mode) as gate:
        pace = searched(cwd, f"http://127.0.0.1:{gate.port}")
        gate.mode = "open"
        tracked(cwd, f"http://127.0.0.1:{gate.port}")
    noted(what, pace, calm, cwd, server, faults)


def test_a_server_that_is_killed_midway_and_started_again_gets_all_once(
    server: Server, calm: Pace, tmp_path: Path, faults: FaultTable
) -> None:
    cwd = tmp_path / "disturbed"
    pace = searched(cwd, server.url, at_half=server.kill)
    server.start()
    tracked(cwd, server.url)
    noted("killed midway, started again after the end", pace, calm, cwd, server, faults)


def tracked(cwd: Path, uri: str) -> None:
    """`pipeline.track` delivers what is left."""
    done = call("track", "told", "--tracking-uri", uri, cwd=cwd)
    assert done.returncode == 0, done.stderr


def noted(
    what: str, pace: Pace, calm: Pace, cwd: Path, server: Server, faults: FaultTable
) -> None:
    num_runs, num_points = delivered(cwd, server)
    now = snapshot(cwd / "runs")
    account = account_of([], now)
    assert (account.lost, account.doubled, account.repeated) == (0, 0, 0)
    # Measured side by side, so the machine is the same; less than this is more than its noise.
    assert pace.epochs_per_minute >= 0.7 * calm.epochs_per_minute
    faults.add(
        "tracking",
        what,
        1,
        f"{pace.epochs_per_minute:.0f} epochs a minute, {calm.epochs_per_minute:.0f} beside a "
        f"server that is well; then all {num_runs} runs and {num_points} epochs were there once, "
        "in order, none RUNNING",
        account,
    )
