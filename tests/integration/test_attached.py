"""A search from a laptop: a cluster whose nodes share nothing with it but an object store."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torchvision.models._api import get_model

from archsearch.storage import storage_path
from tests.cli_support import call, environment, start_search
from tests.object_store import ObjectStore, object_store
from tests.ray_nodes import RayCluster, bare_python, growing_cluster, ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "a-password-that-stays-with-the-driver"
SEARCH = (
    "--space", "smoke", "--trials", 3, "--max-epochs", 40, "--name", "far", "--confirm", "none",
)  # fmt: skip


@dataclass
class Site:
    """Where a user sits, and what the user has."""

    cwd: Path
    store: ObjectStore
    cluster: RayCluster

    @property
    def env(self) -> dict[str, str]:
        """The user's environment: keys of the store that are not the nodes', and a password."""
        mine = {"MLFLOW_TRACKING_PASSWORD": PASSWORD, "OMP_NUM_THREADS": "1"}
        return self.store.keys["driver"] | self.cluster.credentials | mine

    @property
    def secrets(self) -> list[str]:
        """What must not leave the driver."""
        return [PASSWORD, self.store.keys["driver"]["AWS_SECRET_ACCESS_KEY"]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="ray") as short:
        python = bare_python(Path(short) / "python")
        with (
            object_store(tmp_path_factory.mktemp("s3"), "driver", "node") as store,
            ray_cluster(python, Path(short), store.keys["node"]) as cluster,
        ):
            yield Site(tmp_path_factory.mktemp("laptop"), store, cluster)


def hide_data(site: Site) -> None:
    """Take the driver's prepared data away: a node that is another host does not see it."""
    for prepared in (site.cwd / "runs" / "data").glob("*.arrow"):
        prepared.unlink()


def cached(site: Site) -> list[list[str]]:
    """The prepared data that each worker node has fetched."""
    nodes = [site.cluster.nodes[name] for name in ("first", "second")]
    return [[path.name for path in node.cache.rglob("*.arrow")] for node in nodes]


def secrets_seen_by(cluster: RayCluster, secrets: list[str]) -> list[str]:
    """Processes and files of the cluster that hold one of the driver's secrets."""
    wanted = [secret.encode() for secret in secrets]
    found = []
    for node in cluster.nodes.values():
        for process in node.family():
            try:
                told = Path(f"/proc/{process.pid}/environ").read_bytes()
                words = " ".join(process.cmdline()).encode()
            except (OSError, psutil.Error):
                continue
            if any(secret in told + words for secret in wanted):
                found.append(f"process {process.pid} of {node.folder.name}")
        for file in (node.folder / "t").rglob("logs/**/*"):
            if file.is_file() and any(s in file.read_bytes() for s in wanted):
                found.append(str(file))
    return found


def test_a_search_outlives_a_node_and_its_driver_and_its_best_model_comes_home(site: Site) -> None:
    options = ("--storage", site.store.uri("searches"))
    kills = 0
    with start_search(
        *SEARCH, *options, "--address", site.cluster.address, cwd=site.cwd, **site.env
    ) as search:
        told = search.wait_for("search_started")
        said = " ".join(event.get("text", "") for event in told if event["event"] == "said")
        assert "on this machine alone" in said
        assert "The data is in s3://" in said
        assert "has no GPU now" in said
        hide_data(site)
        # Until both nodes work: one of them may be many epochs behind the other.
        while not all(cached(site)):
            search.wait_for("epoch_finished")
        assert secrets_seen_by(site.cluster, site.secrets) == []
        site.cluster.nodes["second"].kill()
        kills += 1
        search.wait_for("epoch_finished", 3)
        search.process.kill()
        kills += 1
    hide_data(site)
    before = status_of(site)
    assert any(trial["outcome"] is None for trial in before["trials"])

    # Another door of the same cluster, and the same search goes on.
    client = f"ray://{site.cluster.host}:{site.cluster.client_port}"
    done = call("search", *SEARCH, *options, "--address", client, cwd=site.cwd, **site.env)
    assert done.returncode == 0, done.stdout + done.stderr
    after = status_of(site)
    for trial in after["trials"]:
        assert trial["outcome"] in ("completed", "stopped")
        assert trial["epochs_trained"] - trial["epochs"] <= kills
    assert [len(names) for names in cached(site)] == [1, 1]
    assert secrets_seen_by(site.cluster, site.secrets) == []

    # Nothing of a trial is on the laptop; all of it is where any machine finds it.
    assert not (site.cwd / "runs" / "far" / "trials").exists()
    there = storage_files(site)
    best = after["incumbent"]["number"]
    assert {"worker.log", "started-a1"} <= {
        path.partition("/")[2] for path in there if path.startswith(f"{best:04d}/")
    }
    exported = call("export", "far", "--format", "pt2", "--json", cwd=site.cwd, **site.env)
    assert exported.returncode == 0, exported.stderr
    answer = json.loads(exported.stdout)
    assert answer["max_abs_difference"] <= answer["max_abs_difference_allowed"]
    promoted = call("promote", "far", "--force", cwd=site.cwd, **site.env)
    assert promoted.returncode == 0, promoted.stderr


def status_of(site: Site) -> dict[str, Any]:
    done = call("status", "far", "--json", cwd=site.cwd, **site.env)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def storage_files(site: Site) -> list[str]:
    code = "import sys, archsearch.storage as s; print(*s.storage_path(sys.argv[1]).tree())"
    uri = site.store.uri("searches/far/trials")
    assert str(storage_path(uri)) == uri
    words = [sys.executable, "-c", code, uri]
    done = subprocess.run(
        words, env=environment(**site.env), capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.split()


def test_an_interrupt_ends_a_search_that_waits_for_room(site: Site) -> None:
    with start_search(
        "--space", "smoke", "--trials", 2, "--name", "large", "--cpus-per-trial", 64,
        "--storage", site.store.uri("searches"), "--address", site.cluster.address,
        cwd=site.cwd, **site.env,
    ) as search:  # fmt: skip
        said = ""
        while "No node has room" not in said:
            said = str(search.wait_for("said")[-1]["text"])
        search.process.send_signal(signal.SIGINT)
        code, errors = search.end(within=30.0)
    assert code == 130, errors


FINE_TUNING = """\
families:
  torchvision: {{network: resnet18, weights: {weights}, frozen_stages: 4, head: linear}}
training: {{learning_rate: 0.01, batch_size: 16}}
fidelity: {{max_epochs: 2, grace_period_epochs: 1}}
"""


def test_a_submitted_job_is_a_search_and_its_weights_come_to_the_nodes(site: Site) -> None:
    runs, weights = site.cwd / "runs-of-jobs", site.cwd / "r18.pth"
    torch.save(get_model("resnet18", weights=None).state_dict(), weights)
    space = site.cwd / "fine.yaml"
    space.write_text(FINE_TUNING.format(weights=weights))
    api = f"http://127.0.0.1:{site.cluster.dashboard_port}"
    python = next(node for node in site.cluster.nodes.values()).process.args[0]  # type: ignore[index]
    command = [
        str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", api,
        "--working-dir", str(REPOSITORY),
        "--runtime-env-json", json.dumps({"env_vars": {"PYTHONPATH": "src"}}), "--",
        str(python), "-m", "pipeline.search", "--space", str(space), "--trials", "1",
        "--image-size", "32", "--train-size", "32", "--name", "job", "--confirm", "none",
        "--address", "auto", "--runs-dir", str(runs), "--storage", site.store.uri("jobs"),
    ]  # fmt: skip
    done = submitted(command, site)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "the only member of the space was tried; 1 trial (1 completed)" in done.stdout
    (trial,) = _trials(runs, site)
    assert trial["epochs"] == 2
    workers = [site.cluster.nodes[name] for name in ("first", "second")]
    copies = [path for node in workers for path in node.folder.glob("torch/hub/checkpoints/*.pth")]
    assert [copy.read_bytes() for copy in copies] == [weights.read_bytes()]


def submitted(command: list[str], site: Site) -> subprocess.CompletedProcess[str]:
    """Submit a job, and again while the head of a young cluster has no agent for it yet."""
    deadline = time.monotonic() + 120
    while True:
        done = subprocess.run(
            command,
            env=environment(**site.cluster.credentials),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if "No available agent" not in done.stderr or time.monotonic() > deadline:
            return done
        time.sleep(2)


def _trials(runs: Path, site: Site) -> list[dict[str, Any]]:
    done = call("status", "job", "--json", "--runs-dir", runs, cwd=site.cwd, **site.env)
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)["trials"]
    return answer


@pytest.mark.cluster
def test_a_cluster_that_starts_empty_grows_with_the_search_and_waits_for_nothing_else(
    tmp_path: Path,
) -> None:
    with tempfile.TemporaryDirectory(prefix="ray") as short:
        python = bare_python(Path(short) / "python")
        with growing_cluster(python, Path(short), num_nodes=2) as cluster:
            search = start_search(
                "--space", "smoke", "--trials", 2, "--max-epochs", 5_000, "--random-share", 1,
                "--name", "growing", "--confirm", "none", "--address", cluster.address,
                "--storage", tmp_path / "shared", cwd=tmp_path, **cluster.credentials,
            )  # fmt: skip
            with search as running:
                events = running.wait_for("trial_started", 2)
                running.process.send_signal(signal.SIGINT)
                code, errors = running.end()
    assert code == 130, errors
    (begin,) = (event for event in events if event["event"] == "search_started")
    assert (begin["num_slots"], begin["devices"]) == (1, "0 CPUs on 1 node")
    # The second trial is asked for when the second node has come, while the first one runs on.
    assert not [event for event in events if event["event"] == "trial_ended"]
    epochs = [event for event in events if event["event"] == "epoch_finished"]
    assert {event["number"] for event in epochs} <= {0}
