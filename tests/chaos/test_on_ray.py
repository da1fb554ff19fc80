"""The same faults in searches as users run them: real Ray, real training, real signals."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from archsearch.files import write_atomic
from archsearch.record.attempts import workers_in_log
from tests.chaos.fault_table import FaultTable, Snapshot, account_of, snapshot
from tests.cli_support import call, start_search
from tests.clusters import tokens_required

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

ONE_WORKER = (
    "--space", "smoke", "--trials", 6, "--concurrency", 1, "--name", "one", "--confirm", "none",
)  # fmt: skip
TWO_WORKERS = (
    "--space", "smoke", "--trials", 6, "--concurrency", 2, "--name", "two", "--confirm", "none",
)  # fmt: skip

LONG_TRIALS = (
    "--space", "smoke", "--trials", 2, "--max-epochs", 40, "--concurrency", 1, "--name", "long",
    "--confirm", "none",
)  # fmt: skip


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The one-worker search that nobody disturbed."""
    cwd = tmp_path_factory.mktemp("calm")
    done = call("search", *ONE_WORKER, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return snapshot(cwd / "runs")


def worker_of(pid: int, *, other_than: Collection[int] = ()) -> int:
    """The process id of a worker that has a trial; Ray renames them while they work."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "TrialActor" in " ".join(process.cmdline()) and process.pid not in other_than:
                    return process.pid
        time.sleep(0.02)
    raise AssertionError("no worker has a trial")


def left_behind(folder: Path) -> list[str]:
    """Ray's processes that still run for a driver that was started in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if "ray" in command and process.environ().get("ARCHSEARCH_CHAOS") == str(folder):
                found.append(command[:60])
    return found


def test_a_driver_killed_at_random_times_gives_the_undisturbed_table_and_leaves_no_process(
    tmp_path: Path, calm: Snapshot, faults: FaultTable
) -> None:
    generator = random.Random(11)
    before: list[Snapshot] = []
    kills = 0
    began = time.monotonic()
    for _ in range(8):
        with start_search(*ONE_WORKER, cwd=tmp_path, ARCHSEARCH_CHAOS=str(tmp_path)) as search:
            try:
                # Most of it is start and finish: imports, Ray, the data, tracking.
                search.process.wait(generator.uniform(0.5, 25.0))
            except subprocess.TimeoutExpired:
                search.process.kill()
                search.process.wait()
                kills += 1
                with contextlib.suppress(Exception):
                    before.append(snapshot(tmp_path / "runs"))
    assert kills > 0
    with start_search(*ONE_WORKER, cwd=tmp_path, ARCHSEARCH_CHAOS=str(tmp_path)) as search:
        code, errors = search.end()
    assert code == 0, errors
    now = snapshot(tmp_path / "runs")
    assert now.recorded.table == calm.recorded.table
    account = account_of(before, now)
    assert (account.lost, account.doubled) == (0, 0)
    assert account.repeated <= kills
    deadline = time.monotonic() + 30
    while left_behind(tmp_path) and time.monotonic() < deadline:
        time.sleep(1)
    assert left_behind(tmp_path) == []
    faults.add(
        "driver-killed",
        "real Ray, one worker, after a random time",
        kills,
        f"the undisturbed table, to the last bit of each accuracy, in "
        f"{time.monotonic() - began:.0f} s; no process of Ray left behind",
        account,
    )


def test_two_drivers_started_together_on_a_new_folder(tmp_path: Path, faults: FaultTable) -> None:
    pairs = 3
    for pair in range(pairs):
        cwd = tmp_path / str(pair)
        cwd.mkdir()
        with (
            start_search(*TWO_WORKERS, cwd=cwd) as one,
            start_search(*TWO_WORKERS, cwd=cwd) as other,
        ):
            ends = sorted([one.end(), other.end()], key=lambda end: end[0])
        assert [code for code, _ in ends] == [0, 3], ends
        assert "is being run by process" in ends[1][1]
        now = snapshot(cwd / "runs")
        assert all(list(trial.attempts) == [1] for trial in now.recorded.trials)
    faults.add(
        "two-drivers", "real Ray, a new folder", pairs, "one ran, the other exit 3 with who"
    )


def test_a_worker_that_hangs_is_killed_and_tried_once_more(
    tmp_path: Path, faults: FaultTable
) -> None:
    seconds = 45  # a loaded machine takes that long to start a worker
    command = (*LONG_TRIALS, "--hang-seconds", seconds)
    with start_search(*command, cwd=tmp_path) as search:
        search.wait_for("epoch_finished", 1)
        began = time.monotonic()
        first = worker_of(search.process.pid)
        os.kill(first, signal.SIGSTOP)
        search.wait_for("trial_started", 1)
        waited = time.monotonic() - began
        second = worker_of(search.process.pid, other_than=[first])
        os.kill(second, signal.SIGSTOP)
        code, errors = search.end()
    assert (code, "Traceback" in errors) == (0, False), errors
    now = snapshot(tmp_path / "runs")
    hung, other = now.recorded.trials
    assert list(hung.attempts.values()) == ["hung", "hung"]
    assert hung.outcome == "failed"
    assert "hung 2 times" in str(hung.reason)
    assert other.outcome in ("completed", "stopped")
    assert not any(psutil.pid_exists(pid) for pid in (first, second))
    faults.add(
        "trial-hung",
        f"SIGSTOP to the worker of a trial, twice, `--hang-seconds {seconds}`",
        2,
        f"killed after {waited:.0f} s, tried again, killed, `failed`; the other trial went on",
        account_of([], now),
    )


def test_a_trial_that_loses_its_worker_again_and_again_is_given_up(
    tmp_path: Path, faults: FaultTable
) -> None:
    killed: list[int] = []
    with start_search(*LONG_TRIALS, cwd=tmp_path) as search:
        for _ in range(5):
            search.wait_for("epoch_finished", 1)
            killed.append(worker_of(search.process.pid, other_than=killed))
            os.kill(killed[-1], signal.SIGKILL)
            search.wait_for("trial_started", 1)
        search.process.send_signal(signal.SIGINT)
        search.end()
    now = snapshot(tmp_path / "runs")
    given_up = now.recorded.trials[0]
    assert list(given_up.attempts.values()) == ["lost"] * 5
    assert given_up.outcome == "failed"
    assert "lost 5 times" in str(given_up.reason)
    # Each attempt went on where the one before had come to.
    assert len(given_up.epochs) >= 5
    assert now.started[0] <= len(given_up.epochs) + len(killed)
    faults.add(
        "worker-killed",
        "the same trial's worker, five times",
        len(killed),
        f"it went on four times ({len(given_up.epochs)} epochs), then `failed`, lost 5 times",
        account_of([], now),
    )


def test_host_memory_that_runs_out_gives_one_more_attempt_alone(
    tmp_path: Path, faults: FaultTable
) -> None:
    """Ray's own monitor, told that a hundredth of the machine's memory is all there is."""
    limits = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "250"}
    done = call(
        "search", "--space", "smoke", "--trials", 2, "--concurrency", 2, "--max-epochs", 60,
        "--name", "tight", "--confirm", "none", cwd=tmp_path, **limits,
    )  # fmt: skip
    now = snapshot(tmp_path / "runs")
    trials = now.recorded.trials
    assert done.returncode == 4, done.stderr
    assert [t.outcome for t in trials] == ["out_of_memory"] * 2
    assert all(list(t.attempts.values()) == ["memory", "memory"] for t in trials)
    assert all("alone on its machine" in str(t.reason) for t in trials)
    assert "Traceback" not in done.stderr
    faults.add(
        "host-memory",
        "the monitor's threshold set to 1 % of the machine",
        4,
        "each trial: a new attempt once, alone; then `out_of_memory`; exit 4",
        account_of([], now),
    )


# Makes `archsearch.training.loop` build networks that find no memory in a chosen trial's steps,
# once it is imported by whichever worker gets that trial.
NO_MEMORY = """
import importlib.abc, importlib.machinery, sys

class Saboteur(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name != "archsearch.training.loop":
            return None
        sys.meta_path.remove(self)
        self.found = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.machinery.ModuleSpec(name, self, origin=self.found.origin)

    def create_module(self, spec):
        return importlib.util.module_from_spec(self.found)

    def exec_module(self, module):
        self.found.loader.exec_module(module)
        build = module.build_model

        def built(spec, input_spec):
            network = build(spec, input_spec)
            if spec.name == "ResNet-8":
                network.register_forward_pre_hook(no_memory)
            return network

        module.build_model = built

def no_memory(network, inputs):
    if network.training:
        import torch
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

sys.meta_path.insert(0, Saboteur())
"""


def workers_of(now: Snapshot) -> dict[int, set[int]]:
    """The processes that trained each trial, as its log tells."""
    return {
        trial.number: {
            int(worker.rpartition("/")[2])
            for worker in workers_in_log(now.recorded.paths.trial(trial.number).log).values()
        }
        for trial in now.recorded.trials
    }


def test_a_worker_that_ran_out_of_memory_is_not_used_again_and_another_one_is(
    tmp_path: Path, calm: Snapshot, faults: FaultTable
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_MEMORY)
    done = call("search", *ONE_WORKER, "--seed", 3, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    now = snapshot(tmp_path / "runs")
    assert len(set().union(*workers_of(calm).values())) == 1  # it is kept from trial to trial
    ended = [t.number for t in now.recorded.trials if t.outcome == "out_of_memory"]
    assert ended
    assert ended[0] < len(now.recorded.trials) - 1  # trials come after it
    workers = workers_of(now)
    for number in ended:
        later = set().union(*(workers[n] for n in workers if n > number))
        assert not workers[number] & later
    assert len(set().union(*workers.values())) <= 1 + len(ended)  # the others are kept
    assert all(list(t.attempts.values()) == ["finished"] for t in now.recorded.trials)
    faults.add(
        "out-of-memory",
        "`torch.OutOfMemoryError` at every micro-batch of all ResNet-8 of six trials on one Ray "
        "worker",
        len(ended),
        "`out_of_memory` after one attempt; its worker was ended, the trials after it got another",
        account_of([], now),
    )


# Sets the wall clock of every Python process as many seconds off as a file says.
OTHER_CLOCK = """
import os, time

def offset():
    with open(os.environ["ARCHSEARCH_CHAOS_CLOCK"]) as clock:
        return int(clock.read())

def seconds(real=time.time):
    return real() + offset()

def nanoseconds(real=time.time_ns):
    return real() + offset() * 10**9

time.time, time.time_ns = seconds, nanoseconds
"""


def test_a_system_clock_that_is_set_back_and_forth_changes_nothing(
    tmp_path: Path, calm: Snapshot, faults: FaultTable
) -> None:
    """The wall clock of all the search's Python processes; not the monotonic one."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    code_of_clock = tmp_path / "clock_code"
    code_of_clock.mkdir()
    (code_of_clock / "sitecustomize.py").write_text(OTHER_CLOCK)
    faked = {"PYTHONPATH": str(code_of_clock), "ARCHSEARCH_CHAOS_CLOCK": str(clock)}
    jumps = ("3600", "-3600", "3600", "-3600")
    began = time.monotonic()
    with start_search(*ONE_WORKER, cwd=tmp_path, **faked) as search:
        for jump in jumps:
            search.wait_for("epoch_finished", 2)
            write_atomic(clock, jump)
        code, errors = search.end()
    assert code == 0, errors
    now = snapshot(tmp_path / "runs")
    assert now.recorded.table == calm.recorded.table
    assert all(list(trial.attempts) == [1] for trial in now.recorded.trials)
    epochs = [epoch for trial in now.recorded.trials for epoch in trial.epochs]
    in_order = sorted(epochs, key=lambda epoch: epoch.sequence or 0)
    steps = [b.created_ms - a.created_ms for a, b in itertools.pairwise(in_order)]
    assert sum(step < -3_000_000 for step in steps) >= 2  # the clock was seen to be set back
    assert sum(step > 3_000_000 for step in steps) >= 2
    took = time.monotonic() - began
    for epoch in epochs:
        assert 0 < epoch.result.train_seconds < took
        assert 0 < epoch.result.val_seconds < took
    faults.add(
        "clock-set",
        "the wall clock of the driver, the worker and Ray's Python processes, an hour forth and "
        "back",
        len(jumps),
        "the undisturbed table; no trial was taken for hung, lost or late",
        account_of([], now),
    )


SECRET = "pl4nted-s3cret"


def test_planted_secrets_are_in_no_file_and_no_output(tmp_path: Path, faults: FaultTable) -> None:
    uri = f"http://somebody:{SECRET}-in-the-uri@127.0.0.1:9/?token={SECRET}-in-a-query"
    secrets = {
        "MLFLOW_TRACKING_PASSWORD": f"{SECRET}-password",
        "AWS_SECRET_ACCESS_KEY": f"{SECRET}-key",
        "MY_API_TOKEN": f"{SECRET}-token",
    }
    search = (
        "--space", "smoke", "--trials", 2, "--concurrency", 2, "--name", "secret",
        "--confirm", "none",
    )  # fmt: skip
    outputs = []
    for extra in (("--tracking-uri", uri), ("--tracking-uri", uri, "--json")):
        done = call("search", *search, *extra, "--trials", 2, cwd=tmp_path, **secrets)
        assert done.returncode == 0, done.stderr
        outputs += [done.stdout, done.stderr]
    database = f"postgresql+psycopg://somebody:{SECRET}-in-the-database@127.0.0.1:9/x"
    refused = call("search", *search, "--database", database, cwd=tmp_path, **secrets)
    assert refused.returncode in (2, 3)
    outputs += [refused.stdout, refused.stderr]
    for command in ("status", "doctor"):
        done = call(command, *(["secret"] if command == "status" else []), cwd=tmp_path, **secrets)
        outputs += [done.stdout, done.stderr]
    assert not [text for text in outputs if SECRET in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    faults.add(
        "secrets",
        "in the tracking URI (twice), the database URL, three environment variables",
        6,
        f"in none of {len(files)} files of the folder and {len(outputs)} outputs",
    )


@contextlib.contextmanager
def cluster_of_two() -> Iterator[tuple[Any, str]]:
    """A head without processors and two nodes of one each, on this machine."""
    from ray.cluster_utils import Cluster

    with tokens_required():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
            yield cluster, cluster.address
        finally:
            cluster.shutdown()


def take_back(cluster: Any, node: Any) -> None:
    """Tell Ray that a node is preempted in a second, as a cloud does; then it is gone."""
    raylet: Any = importlib.import_module("ray._raylet")
    reasons: Any = importlib.import_module("ray.core.generated.autoscaler_pb2").DrainNodeReason
    reason = reasons.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline_ms = int((time.time() + 1) * 1000)
    client = raylet.GcsClient(address=cluster.address)
    client.drain_node(node.node_id, reason, "spot instance taken back", deadline_ms)
    time.sleep(1)
    cluster.remove_node(node, allow_graceful=False)


def kill_raylet(cluster: Any, node: Any) -> None:
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.parametrize(
    ("lose", "loss"), [(kill_raylet, "lost"), (take_back, "preempted")], ids=["lost", "preempted"]
)
def test_a_lost_node_costs_an_epoch_of_its_trial(
    lose: Callable[[Any, Any], None], loss: str, tmp_path: Path, faults: FaultTable
) -> None:
    with cluster_of_two() as (cluster, address):
        command = (
            "--space", "smoke", "--trials", 3, "--max-epochs", 250, "--name", "spread",
            "--confirm", "none", "--random-share", 1,
        )  # fmt: skip
        with start_search(*command, "--address", address, cwd=tmp_path) as search:
            busy: set[int] = set()
            while len(busy) < 2:  # a worker that only starts is started elsewhere by Ray itself
                busy.add(search.wait_for("epoch_finished", 1)[-1]["number"])
            before = snapshot(tmp_path / "runs")
            lose(cluster, cluster.list_all_nodes()[-1])
            search.wait_for("epoch_finished", 6)
            cluster.add_node(num_cpus=1)
            code, errors = search.end()
    assert (code, errors) == (0, "")
    now = snapshot(tmp_path / "runs")
    account = account_of([before], now)
    ended = [end for trial in now.recorded.trials for end in trial.attempts.values()]
    assert 1 <= ended.count(loss) <= 2, ended
    assert (account.lost, account.doubled) == (0, 0)
    assert account.repeated <= ended.count(loss)
    assert all(trial.outcome in ("completed", "stopped") for trial in now.recorded.trials)
    faults.add(
        "node-lost",
        f"one of two nodes of a Ray cluster ({loss}); a new one later",
        1,
        f"{ended.count(loss)} attempt {loss}; its trial went on elsewhere",
        account,
    )
